"""Alignment of source and target features by a loss on the vectors at their locations."""

from collections.abc import Sequence

import torch
from mmdet.models.builder import build_loss
from torch import Tensor, nn


class FeatureAlignment(nn.Module):
    """One alignment loss, averaged over the levels of the neck or adapted maps.

    Args:
        loss: config of the loss, e.g. ``dict(type="MMDLoss", loss_weight=0.1)``. It is called with the source's and
            the target's vectors, (N, C) and (M, C); each level has a loss module of its own.
        on: ``"neck"`` (before the adapter) or ``"adapted"`` (behind it).
        num_levels: levels of the maps.
        max_locations: vectors drawn at random for each side of a level.

    Raises:
        ValueError: ``on`` is neither of the two names.
    """

    def __init__(self, loss: dict, on: str = "adapted", num_levels: int = 3, max_locations: int = 512):
        super().__init__()
        if on not in ("neck", "adapted"):
            raise ValueError(f"alignment on {on!r}, expected 'neck' or 'adapted'")
        self.on = on
        self.max_locations = max_locations
        self.name = f"loss_{loss['type'].removesuffix('Loss').lower()}_{on}"
        self.losses = nn.ModuleList(build_loss(loss) for _ in range(num_levels))

    def forward(self, maps: Sequence[Tensor], is_target: Sequence[bool]) -> Tensor:
        """The loss of a batch; zero where only one side is present.

        Args:
            maps: (B, C, H_l, W_l) for each level.
            is_target: for each of the B images.

        Returns:
            scalar.
        """
        target = torch.tensor(is_target, device=maps[0].device)
        if target.all() or not target.any():
            return sum(level.sum() for level in maps) * 0.0
        # Covariances and distances need more range and precision than float16 has.
        with torch.autocast(target.device.type, enabled=False):
            total = sum(
                loss(self._vectors(level[~target]), self._vectors(level[target]))
                for loss, level in zip(self.losses, maps, strict=True)
            )
        return total / len(maps)

    def _vectors(self, level: Tensor) -> Tensor:
        vectors = level.float().permute(0, 2, 3, 1).flatten(0, 2)  # (B·H·W, C)
        chosen = torch.randperm(len(vectors), device=vectors.device)[: self.max_locations]
        return vectors[chosen]
