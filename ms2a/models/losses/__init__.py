"""Alignment losses, in mmdet's registry; the foreground branch uses mmdet's own ``DiceLoss``."""

from ms2a.models.losses.alignment import CORALLoss, DomainAdversarialLoss, MMDLoss

__all__ = ["CORALLoss", "DomainAdversarialLoss", "MMDLoss"]
