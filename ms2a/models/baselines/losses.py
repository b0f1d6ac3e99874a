"""Losses that pull two samples of feature vectors together: MMD, CORAL and domain-adversarial."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.models.builder import LOSSES
from torch import Tensor, nn


@LOSSES.register_module()
class MMDLoss(nn.Module):
    """Squared maximum mean discrepancy with several Gaussian kernels (Long 2015, DAN, Eq. 1; Gretton 2012, Eq. 5).

    k(x, y) = mean_i exp(-‖x - y‖² / (b_i · s)), where s is the mean squared distance within the joint sample.

    Args:
        bandwidths: the factors b_i.
        loss_weight: factor of the result.
    """

    def __init__(self, bandwidths: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0), loss_weight: float = 1.0):
        super().__init__()
        self.bandwidths = tuple(bandwidths)
        self.loss_weight = loss_weight

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """(N, C) and (M, C) → scalar, not negative and zero for equal samples."""
        joint = torch.cat([source, target])
        # ‖x‖² + ‖y‖² - 2x·y: the differences themselves would take C times the memory.
        norms = joint.square().sum(1)
        squared = (norms[:, None] + norms - 2 * joint @ joint.T).clamp(min=0)  # (N+M, N+M)
        scale = squared.detach().mean().clamp(min=torch.finfo(squared.dtype).tiny)
        kernel = sum(torch.exp(-squared / (bandwidth * scale)) for bandwidth in self.bandwidths) / len(self.bandwidths)
        n = len(source)
        mmd = kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()
        return self.loss_weight * mmd


@LOSSES.register_module()
class CORALLoss(nn.Module):
    """‖C_s - C_t‖²_F / 4C² between the two covariance matrices (Sun 2016, Deep CORAL, Eq. 1).

    Args:
        loss_weight: factor of the result.
    """

    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """(N, C) and (M, C), each of at least two vectors → scalar."""
        difference = torch.cov(source.T) - torch.cov(target.T)  # (C, C)
        return self.loss_weight * difference.square().sum() / (4 * source.shape[1] ** 2)


class _ReverseGradient(torch.autograd.Function):
    """Identity forward; the gradient is multiplied by -strength backward (Ganin 2015, Eq. 4)."""

    @staticmethod
    def forward(ctx, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None


@LOSSES.register_module()
class DomainAdversarialLoss(nn.Module):
    """A classifier learns to tell the domains apart; its reversed gradient teaches the features to hide them.

    Source: Ganin 2015, "Unsupervised Domain Adaptation by Backpropagation".

    Args:
        in_channels: C of the vectors.
        hidden_channels: of the classifier's one hidden layer.
        reversal: factor of the reversed gradient.
        loss_weight: factor of the result.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 64,
        reversal: float = 1.0,
        loss_weight: float = 1.0,
    ):
        super().__init__()
        self.classifier = nn.Sequential(
            nn.Linear(in_channels, hidden_channels), nn.ReLU(), nn.Linear(hidden_channels, 1)
        )
        self.reversal = reversal
        self.loss_weight = loss_weight

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """(N, C) and (M, C) → scalar, the mean of the two sides' binary cross-entropies."""
        sides = []
        for vectors, label in ((source, 0.0), (target, 1.0)):
            logits = self.classifier(_ReverseGradient.apply(vectors, self.reversal))
            sides.append(F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label)))
        return self.loss_weight * (sides[0] + sides[1]) / 2
