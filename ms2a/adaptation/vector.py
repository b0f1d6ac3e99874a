"""Reading a memory of appearances: every location asks prototypes that are feature vectors."""

import torch
from torch import Tensor, nn

from ms2a.adaptation.fast import multi_head_attention, select_domains


class VectorAdaptation(nn.Module):
    """Adds to each location what the foreground and background prototypes of its domain say about it.

    The prototypes have no place: moving the image moves the result, and any image size will do.

    Args:
        channels: C of the neck map and of the prototypes.
        num_heads: attention heads; divides C.
    """

    def __init__(self, channels: int, num_heads: int = 4):
        super().__init__()
        self.num_heads = num_heads
        self.norm_feature = nn.LayerNorm(channels)
        self.norm_memory = nn.LayerNorm(channels)
        self.q_lin = nn.Linear(channels, channels)
        self.k_lin = nn.Linear(channels, channels)
        self.v_lin = nn.Linear(channels, channels)
        # What being foreground, or background, adds to a prototype's answer.
        self.kind = nn.Parameter(torch.randn(2, 1, channels) * 0.1)
        self.out_lin = nn.Linear(channels, channels)
        nn.init.zeros_(self.out_lin.weight)  # training starts exactly at the detector without memory
        nn.init.zeros_(self.out_lin.bias)

    def remember(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """All that depends on memory alone: keys and values.

        Args:
            memory: (D, 2, K, C), foreground and background prototypes of each domain.

        Returns:
            (D, 2K, C) each.
        """
        prototypes = self.norm_memory(memory)
        return self.k_lin(prototypes).flatten(1, 2), (self.v_lin(prototypes) + self.kind).flatten(1, 2)

    def forward(self, feature: Tensor, remembered: tuple[Tensor, Tensor], domain_index: Tensor) -> Tensor:
        """Adapts a neck map.

        Args:
            feature: P_l, (B, C, H, W).
            remembered: what :meth:`remember` returned for the D domains.
            domain_index: int64 (B,), which of the D each image reads.

        Returns:
            the map that replaces P_l, (B, C, H, W).
        """
        key, value = select_domains(remembered, domain_index)
        locations = self.norm_feature(feature.flatten(2).transpose(1, 2))  # (B, H·W, C)
        query = self.q_lin(locations) / (feature.shape[1] // self.num_heads) ** 0.5
        read = self.out_lin(multi_head_attention(query, key, value, self.num_heads))
        return feature + read.transpose(1, 2).unflatten(2, feature.shape[-2:])
