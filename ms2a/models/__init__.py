"""The detector, its head, the memory adapter and the foreground branch, in mmdet's registries."""

from ms2a.models.adapter import MemoryAdapter, VectorMemoryAdapter
from ms2a.models.baselines.detector import ComparedYOLOX
from ms2a.models.detector import MS2AYOLOX
from ms2a.models.foreground import ForegroundBranch, foreground_mask
from ms2a.models.head import MS2AYOLOXHead

__all__ = [
    "ComparedYOLOX",
    "ForegroundBranch",
    "MS2AYOLOX",
    "MS2AYOLOXHead",
    "MemoryAdapter",
    "VectorMemoryAdapter",
    "foreground_mask",
]
