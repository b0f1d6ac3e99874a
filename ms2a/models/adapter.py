"""The memory and its adaptation modules, in front of the YOLOX head."""

from collections.abc import Sequence

import torch
from mmcv.runner import BaseModule
from mmdet.models.builder import NECKS
from torch import Tensor, nn

from ms2a.adaptation import EfficientAdaptation, VectorAdaptation
from ms2a.errors import UserError
from ms2a.memory import MemoryBank, read_prototypes
from ms2a.memory.domains import choose_domain


@NECKS.register_module()
class MemoryAdapter(BaseModule):
    """Lets every neck map read the memory of its image's domain.

    Args:
        channels: C of the neck maps.
        memory: arguments of :class:`ms2a.memory.MemoryBank`, and optionally ``files``: the memory file of each
            domain (``NAME_cluster.pth``), read once when the weights are initialised for training. A trained
            checkpoint holds the memory, so testing needs no file.
        prototypes: ``"stored"``, those of the files; or, as controls, ``"random"``, noise of the same mean and variance
            as the stored ones of each domain and level, or ``"none"``, zeros: only the learned residual is left.
        num_layers: adaptation layers per level.
        query: which side asks, ``"feature"`` or ``"memory"``; see :class:`ms2a.adaptation.AdaptationLayer`.
        num_heads: attention heads.
        zero_init: start exactly at the detector without memory, see :class:`ms2a.adaptation.EfficientAdaptation`.
        normalise: layer norm and scaled logits, see :class:`ms2a.adaptation.AdaptationLayer`.
        init_cfg: as everywhere in mmcv.

    Raises:
        UserError: ``prototypes`` or ``query`` is none of its names, or ``num_heads`` does not divide ``channels``; see
            also :class:`ms2a.memory.MemoryBank`.
    """

    def __init__(
        self,
        channels: int,
        memory: dict,
        prototypes: str = "stored",
        num_layers: int = 2,
        query: str = "feature",
        num_heads: int = 8,
        zero_init: bool = False,
        normalise: bool = False,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.channels = channels
        self._kept: dict = {}
        if prototypes not in ("stored", "random", "none"):
            raise UserError(f"adapter.prototypes is {prototypes!r}, expected 'stored', 'random' or 'none'")
        if query not in ("feature", "memory"):
            raise UserError(f"adapter.query is {query!r}, expected 'feature' or 'memory'")
        if channels % 4 or channels % num_heads:
            raise UserError(f"adapter.channels is {channels}, expected a multiple of 4 and of num_heads={num_heads}")
        self.prototypes = prototypes
        memory = dict(memory)
        self.memory_files = memory.pop("files", None) or {}
        self.memory = MemoryBank(**memory)
        self.levels = nn.ModuleList(
            EfficientAdaptation(
                channels, self.memory.num_prototypes, num_layers, query, num_heads, zero_init, normalise
            )
            for _ in self.memory.sizes_hw
        )

    @property
    def domains(self) -> list[str]:
        """The domains whose memory can be read."""
        return self.memory.domains

    def init_weights(self) -> None:
        """Initialises the layers and fills the memory from its files.

        Raises:
            UserError: a file is missing or does not fit the bank (K, size, level or domain).
        """
        super().init_weights()
        for domain, path in self.memory_files.items():
            stored = read_prototypes(path)
            if self.prototypes == "random":
                stored = [torch.randn_like(maps) * maps.std() + maps.mean() for maps in stored]
            elif self.prototypes == "none":
                stored = [torch.zeros_like(maps) for maps in stored]
            self.memory.load_prototypes(domain, stored)

    def forward(self, maps: Sequence[Tensor], domains: Sequence[str]) -> tuple[Tensor, ...]:
        """Adapts the neck maps.

        What depends on memory alone is computed once per domain present, in evaluation once per checkpoint.

        Args:
            maps: P_l for each level, (B, C, H_l, W_l).
            domains: the domain of each of the B images.

        Returns:
            the adapted maps, of the same shapes.

        Raises:
            UserError: a domain the memory does not know, or whose prototypes were never loaded.
        """
        present = sorted(set(domains))
        domain_index = torch.tensor([present.index(domain) for domain in domains], device=maps[0].device)
        return tuple(
            adapt(feature, remembered, domain_index)
            for adapt, feature, remembered in zip(self.levels, maps, self._remember(tuple(present)), strict=True)
        )

    def _remember(self, domains: tuple[str, ...]) -> list:
        """For each level what depends on the memories of some domains alone."""
        if self.training or torch.is_grad_enabled():
            return self._compute(domains)
        # Tensors count the changes made to them in place: loaded weights and optimizer steps show.
        state = [(tensor, tensor._version) for tensor in [*self.parameters(), *self.buffers()]]
        if not _same(self._kept.get("state", ()), state):
            self._kept = {"state": state}
        if domains not in self._kept:
            self._kept[domains] = self._compute(domains)
        return self._kept[domains]

    def _compute(self, domains: tuple[str, ...]) -> list:
        return [
            adapt.remember(torch.stack([self._read(domain, level) for domain in domains]))
            for level, adapt in enumerate(self.levels)
        ]

    def train(self, mode: bool = True):
        """As in torch; what was kept for evaluation is forgotten."""
        self._kept = {}
        return super().train(mode)

    def _apply(self, *args, **kwargs):
        self._kept = {}  # moved to another device, say
        return super()._apply(*args, **kwargs)

    def _read(self, domain: str, level: int) -> Tensor:
        """(K, h, w)."""
        return self.memory(domain, level)


def _same(state: Sequence[tuple[Tensor, int]], other: Sequence[tuple[Tensor, int]]) -> bool:
    """Whether both are the same tensors, not equal ones, unchanged."""
    return len(state) == len(other) and all(
        tensor is its and version == count for (tensor, version), (its, count) in zip(state, other, strict=True)
    )


@NECKS.register_module()
class VectorMemoryAdapter(MemoryAdapter):
    """A :class:`MemoryAdapter` whose prototypes are feature vectors, of foreground and background apart.

    Args:
        channels: C of the neck maps.
        memory: ``domains``, ``num_prototypes`` (K of each kind), optionally ``residual``, ``residual_std`` and
            ``files``: for every domain NAME the files of ``NAME_foreground`` and ``NAME_background``, see
            ``extract_fea_fewshot.py --prototype vector``.
        prototypes: as in :class:`MemoryAdapter`.
        num_levels: neck maps.
        num_heads: attention heads.
        init_cfg: as everywhere in mmcv.
    """

    KINDS = ("foreground", "background")

    def __init__(
        self,
        channels: int,
        memory: dict,
        prototypes: str = "stored",
        num_levels: int = 3,
        num_heads: int = 4,
        init_cfg: dict | None = None,
    ):
        self._domains = list(memory["domains"])
        kinds = [f"{domain}_{kind}" for domain in self._domains for kind in self.KINDS]
        memory = {**memory, "domains": kinds, "sizes_hw": [(channels, 1)] * num_levels}
        super().__init__(channels, memory, prototypes, num_layers=0, num_heads=num_heads, init_cfg=init_cfg)
        self.levels = nn.ModuleList(VectorAdaptation(channels, num_heads) for _ in range(num_levels))

    @property
    def domains(self) -> list[str]:
        """The domains whose memory can be read."""
        return self._domains

    def _read(self, domain: str, level: int) -> Tensor:
        """(2, K, C)."""
        domain = choose_domain(domain, self._domains)
        return torch.stack([self.memory(f"{domain}_{kind}", level)[..., 0] for kind in self.KINDS])
