"""The memory and its adaptation modules, in front of the YOLOX head."""

from collections.abc import Sequence

import torch
from mmcv.runner import BaseModule
from mmdet.models.builder import NECKS
from torch import Tensor, nn

from ms2a.adaptation import EfficientAdaptation, VectorAdaptation, accelerate
from ms2a.errors import UserError
from ms2a.memory import MemoryBank, read_prototypes
from ms2a.memory.controls import STORED, check_control, in_place_of
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
        prototypes: str = STORED,
        num_layers: int = 2,
        query: str = "feature",
        num_heads: int = 8,
        zero_init: bool = False,
        normalise: bool = False,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        self.channels = channels
        self._kept: dict[str, list] = {}
        if query not in ("feature", "memory"):
            raise UserError(f"adapter.query is {query!r}, expected 'feature' or 'memory'")
        if channels % 4 or channels % num_heads:
            raise UserError(f"adapter.channels is {channels}, expected a multiple of 4 and of num_heads={num_heads}")
        self.prototypes = check_control(prototypes, "adapter.prototypes")
        memory = dict(memory)
        self.memory_files = memory.pop("files", None) or {}
        self.memory = MemoryBank(**memory)
        self.levels = nn.ModuleList(
            accelerate(
                EfficientAdaptation(
                    channels, self.memory.num_prototypes, num_layers, query, num_heads, zero_init, normalise
                )
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
            maps = [in_place_of(stored, self.prototypes) for stored in read_prototypes(path)]
            self.memory.load_prototypes(domain, maps)

    def forward(self, maps: Sequence[Tensor], domains: Sequence[str]) -> tuple[Tensor, ...]:
        """Adapts the neck maps.

        What depends on memory alone is computed once per domain present; after :meth:`keep` it is not computed at all.

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
            for adapt, feature, remembered in zip(self.levels, maps, self.remember(present), strict=True)
        )

    def remember(self, domains: Sequence[str]) -> list:
        """For each level what depends on the memories of some domains alone."""
        kept = {} if torch.is_grad_enabled() else self._kept
        if all(domain in kept for domain in domains):
            return _join([kept[domain] for domain in domains])
        return [
            adapt.remember(torch.stack([self._read(domain, level) for domain in domains]))
            for level, adapt in enumerate(self.levels)
        ]

    @torch.no_grad()
    def keep(self) -> None:
        """Computes what depends on memory alone for all domains that have prototypes, once and for all.

        Call it in evaluation mode. Training mode, new weights and a move to another device drop what is kept; until
        then calls without gradients use it, so do not change parameters in place meanwhile.
        """
        self._kept = {}
        # In full precision: what is kept serves calls with and without autocast.
        with torch.autocast(next(self.parameters()).device.type, enabled=False):
            self._kept = {domain: self.remember([domain]) for domain in self.domains if self._is_filled(domain)}

    def train(self, mode: bool = True):
        """As in torch; training drops what was kept."""
        if mode:
            self._kept = {}
        return super().train(mode)

    def _apply(self, *args, **kwargs):
        self._kept = {}  # moved to another device, say
        return super()._apply(*args, **kwargs)

    def _load_from_state_dict(self, *args, **kwargs):
        self._kept = {}
        super()._load_from_state_dict(*args, **kwargs)

    def _is_filled(self, domain: str) -> bool:
        return self.memory.is_filled(domain)

    def _read(self, domain: str, level: int) -> Tensor:
        """(K, h, w)."""
        return self.memory(domain, level)


def _join(domains: Sequence):
    """Structures of tensors (1, …), one for each of the D domains, as one structure of tensors (D, …)."""
    if len(domains) == 1:
        return domains[0]
    if isinstance(domains[0], Tensor):
        return torch.cat(list(domains))
    return [_join(parts) for parts in zip(*domains, strict=True)]


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
        prototypes: str = STORED,
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

    def _is_filled(self, domain: str) -> bool:
        return all(self.memory.is_filled(f"{domain}_{kind}") for kind in self.KINDS)
