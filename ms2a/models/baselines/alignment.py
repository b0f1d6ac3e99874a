"""Alignment of source and target features by a loss on the vectors at their locations."""

from collections.abc import Sequence

import torch
from mmcv.runner import BaseModule
from mmdet.models.builder import build_loss
from torch import Tensor, nn

from ms2a.errors import UserError
from ms2a.memory.files import read_sized_prototypes


class FeatureAlignment(nn.Module):
    """One alignment loss, averaged over the levels of the neck or adapted maps.

    Args:
        loss: config of the loss, e.g. ``dict(type="MMDLoss", loss_weight=0.1)``. It is called with the source's and
            the target's vectors, (N, C) and (M, C); each level has a loss module of its own.
        domain: the target.
        on: ``"neck"`` (before the adapter) or ``"adapted"`` (behind it).
        num_levels: levels of the maps.
        max_locations: vectors drawn at random for each side of a level.

    Raises:
        UserError: ``on`` is neither of the two names.
    """

    def __init__(self, loss: dict, domain: str, on: str = "adapted", num_levels: int = 3, max_locations: int = 512):
        super().__init__()
        if on not in ("neck", "adapted"):
            raise UserError(f"alignment on {on!r}, expected 'neck' or 'adapted'")
        self.on, self.domain = on, domain
        self.max_locations = max_locations
        self.name = f"loss_{loss['type'].removesuffix('Loss').lower()}_{on}"
        self.losses = nn.ModuleList(build_loss(loss) for _ in range(num_levels))

    def forward(self, maps: Sequence[Tensor], domains: Sequence[str]) -> Tensor:
        """The loss of a batch; zero where only one side is present.

        Args:
            maps: (B, C, H_l, W_l) for each level.
            domains: of the B images.

        Returns:
            scalar.
        """
        target = torch.tensor([domain == self.domain for domain in domains], device=maps[0].device)
        if target.all() or not target.any():
            return sum(level.sum() for level in maps) * 0.0
        count = self.max_locations
        # Covariances and distances need more range and precision than float16 has.
        with torch.autocast(target.device.type, enabled=False):
            total = sum(
                loss(random_vectors(level[~target], count), random_vectors(level[target], count))
                for loss, level in zip(self.losses, maps, strict=True)
            )
        return total / len(maps)


class MemoryAlignment(BaseModule):
    """Pulls the vectors of other domains' images towards what the base detector saw in all images of one domain.

    So the whole unlabelled domain pulls, not only the few annotated images in a batch.

    Args:
        loss: as in :class:`FeatureAlignment`; its second side is drawn from the memory, prototypes by their counts.
        domain: whose memory it is; its own images are left alone.
        channels: C of the neck maps.
        num_prototypes: K of each kind.
        files: the files of ``DOMAIN_foreground`` and ``DOMAIN_background``, see ``extract_fea_fewshot.py --prototype
            vector``, read when the weights are initialised for training.
        num_levels: levels of the maps.
        max_locations: vectors drawn at random for each side of a level.
    """

    on = "neck"
    KINDS = ("foreground", "background")

    def __init__(
        self,
        loss: dict,
        domain: str,
        channels: int,
        num_prototypes: int,
        files: dict | None = None,
        num_levels: int = 3,
        max_locations: int = 512,
    ):
        super().__init__()
        self.domain, self.files, self.max_locations = domain, files, max_locations
        self._filled = False  # seen to be: asking in every step would make a GPU wait
        self.name = f"loss_{loss['type'].removesuffix('Loss').lower()}_memory"
        self.losses = nn.ModuleList(build_loss(loss) for _ in range(num_levels))
        rows = len(self.KINDS) * num_prototypes
        self.register_buffer("vectors", torch.full((num_levels, rows, channels), float("nan")))
        self.register_buffer("counts", torch.ones(num_levels, rows))

    def init_weights(self) -> None:
        """Reads the memory.

        Raises:
            UserError: the file is missing or holds other numbers of levels, prototypes or channels.
        """
        super().init_weights()
        if not self.files:
            return
        kinds = [read_sized_prototypes(self.files[f"{self.domain}_{kind}"]) for kind in self.KINDS]
        levels = [torch.cat([maps[..., 0] for maps, _ in kind]) for kind in zip(*kinds, strict=True)]
        found = [tuple(level.shape) for level in levels]
        if found != [tuple(level.shape) for level in self.vectors]:
            raise UserError(
                f"memory files of {self.domain} hold levels of {found} (prototypes, channels), the config expects "
                f"{tuple(self.vectors.shape)}; extract and cluster again or change the config"
            )
        self.vectors.copy_(torch.stack(levels))
        self.counts.copy_(torch.stack([torch.cat([sizes for _, sizes in kind]) for kind in zip(*kinds, strict=True)]))

    def forward(self, maps: Sequence[Tensor], domains: Sequence[str]) -> Tensor:
        """The loss of a batch; zero where all images are of the memory's domain.

        Args:
            maps: (B, C, H_l, W_l) for each level.
            domains: of the B images.

        Returns:
            scalar.

        Raises:
            UserError: the memory was never read.
        """
        if not self._filled:
            if self.vectors.isnan().any():
                raise UserError(
                    f"the alignment's memory of {self.domain!r} is empty: give its files under to_memory.files"
                )
            self._filled = True
        foreign = torch.tensor([domain != self.domain for domain in domains], device=maps[0].device)
        if not foreign.any():
            return sum(level.sum() for level in maps) * 0.0
        total = 0.0
        with torch.autocast(maps[0].device.type, enabled=False):
            for loss, level, vectors, counts in zip(self.losses, maps, self.vectors, self.counts, strict=True):
                drawn = vectors[torch.multinomial(counts, self.max_locations, replacement=True)]
                total = total + loss(random_vectors(level[foreign], self.max_locations), drawn)
        return total / len(maps)


def random_vectors(level: Tensor, count: int) -> Tensor:
    """At most ``count`` of the vectors of a map, (B, C, H, W) → (count, C)."""
    vectors = level.float().permute(0, 2, 3, 1).flatten(0, 2)  # (B·H·W, C)
    return vectors[torch.randperm(len(vectors), device=vectors.device)[:count]]


def build_alignment(config: dict, domain: str) -> FeatureAlignment | MemoryAlignment:
    """The alignment of a config: with ``to_memory``, arguments of its own, to the memory, else within the batch."""
    config = dict(config)
    to_memory = config.pop("to_memory", None)
    return (
        MemoryAlignment(domain=domain, **config, **to_memory)
        if to_memory
        else FeatureAlignment(domain=domain, **config)
    )
