"""The memory and its adaptation modules, in front of the YOLOX head."""

from collections.abc import Sequence

import torch
from mmcv.runner import BaseModule
from mmdet.models.builder import NECKS
from torch import Tensor, nn

from ms2a.adaptation import EfficientAdaptation
from ms2a.memory import MemoryBank, read_prototypes


@NECKS.register_module()
class MemoryAdapter(BaseModule):
    """Lets every neck map read the memory of its image's domain.

    Args:
        channels: C of the neck maps.
        memory: arguments of :class:`ms2a.memory.MemoryBank`, and optionally ``files``: the memory file of each
            domain (``NAME_cluster.pth``), read once when the weights are initialised for training. A trained
            checkpoint holds the memory, so testing needs no file.
        num_layers: adaptation layers per level.
        query: which side asks, ``"feature"`` or ``"memory"``; see :class:`ms2a.adaptation.AdaptationLayer`.
        num_heads: attention heads.
        init_cfg: as everywhere in mmcv.
    """

    def __init__(
        self,
        channels: int,
        memory: dict,
        num_layers: int = 2,
        query: str = "feature",
        num_heads: int = 8,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        memory = dict(memory)
        self.memory_files = memory.pop("files", None) or {}
        self.memory = MemoryBank(**memory)
        self.levels = nn.ModuleList(
            EfficientAdaptation(channels, self.memory.num_prototypes, num_layers, query, num_heads)
            for _ in self.memory.sizes_hw
        )

    def init_weights(self) -> None:
        """Initialises the layers and fills the memory from its files.

        Raises:
            UserError: a file is missing or does not fit the bank (K, size, level or domain).
        """
        super().init_weights()
        for domain, path in self.memory_files.items():
            self.memory.load_prototypes(domain, read_prototypes(path))

    def forward(self, maps: Sequence[Tensor], domains: Sequence[str]) -> tuple[Tensor, ...]:
        """Adapts the neck maps; what depends on memory alone is computed once per domain present.

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
        adapted = []
        for level, (adapt, feature) in enumerate(zip(self.levels, maps, strict=True)):
            memory = torch.stack([self.memory(domain, level) for domain in present])  # (D, K, h, w)
            adapted.append(adapt(feature, memory, domain_index))
        return tuple(adapted)
