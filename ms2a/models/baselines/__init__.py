"""What MS2A is compared with, in mmdet's registries: alignment losses, batch norms, self-training, styles."""

from ms2a.models.baselines.alignment import FeatureAlignment, MemoryAlignment
from ms2a.models.baselines.detector import ComparedYOLOX
from ms2a.models.baselines.domain_norm import DomainBatchNorm
from ms2a.models.baselines.losses import CORALLoss, DomainAdversarialLoss, MMDLoss
from ms2a.models.baselines.self_training_data import SelfTrainingDataset
from ms2a.models.baselines.style import StyleMemory
from ms2a.models.baselines.target_style import TargetStyle

__all__ = [
    "CORALLoss",
    "ComparedYOLOX",
    "DomainAdversarialLoss",
    "DomainBatchNorm",
    "FeatureAlignment",
    "MMDLoss",
    "MemoryAlignment",
    "SelfTrainingDataset",
    "StyleMemory",
    "TargetStyle",
]
