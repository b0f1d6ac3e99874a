"""The detector, its head, the memory adapter, the foreground branch and the alignment losses, in mmdet's registries."""

from ms2a.models.adapter import MemoryAdapter, VectorMemoryAdapter
from ms2a.models.alignment import FeatureAlignment, MemoryAlignment
from ms2a.models.detector import MS2AYOLOX
from ms2a.models.foreground import ForegroundBranch, foreground_mask
from ms2a.models.head import MS2AYOLOXHead
from ms2a.models.losses import CORALLoss, DomainAdversarialLoss, MMDLoss
from ms2a.models.style import StyleMemory

__all__ = [
    "CORALLoss",
    "DomainAdversarialLoss",
    "FeatureAlignment",
    "MemoryAlignment",
    "ForegroundBranch",
    "MMDLoss",
    "MS2AYOLOX",
    "MS2AYOLOXHead",
    "MemoryAdapter",
    "StyleMemory",
    "VectorMemoryAdapter",
    "foreground_mask",
]
