"""The efficient adaptation module (EAM): a neck map reads the memory of its image's domain."""

from collections import OrderedDict

from torch import Tensor, nn

from ms2a.adaptation.attention import AdaptationLayer


def _project(in_channels: int, out_channels: int) -> nn.Sequential:
    """BN(conv1x1(x)), with the batch norm settings of YOLOX."""
    conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    norm = nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.03)
    return nn.Sequential(OrderedDict(conv=conv, bn=norm))


def _zero_conv(channels: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, channels, 1)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv


class EfficientAdaptation(nn.Module):
    """One level's adaptation: both sides projected to C channels, then ``num_layers`` layers of windowed attention.

    Source: paper, EAM figure; ``F = BN(conv1x1(P))``, ``G = BN(conv1x1_{K→C}(M))``, ``F ← F + layer(F, G)``.

    Args:
        channels: C of the neck map.
        num_prototypes: K, the memory's maps, which are the channels of its side.
        num_layers: adaptation layers.
        query: which side asks, see :class:`AdaptationLayer`.
        num_heads: attention heads.
        zero_init: add the result to the neck map through a 1×1 convolution that starts at zero, so that training starts
            exactly at the detector without memory; else, as released, the result takes the neck map's place.
        normalise: see :class:`AdaptationLayer`.
    """

    def __init__(
        self,
        channels: int,
        num_prototypes: int,
        num_layers: int = 2,
        query: str = "feature",
        num_heads: int = 8,
        zero_init: bool = False,
        normalise: bool = False,
    ):
        super().__init__()
        self.project_feature = _project(channels, channels)
        self.project_memory = _project(num_prototypes, channels)
        self.layers = nn.ModuleList(AdaptationLayer(channels, query, num_heads, normalise) for _ in range(num_layers))
        self.project_out = _zero_conv(channels) if zero_init else None

    def forward(self, feature: Tensor, memory: Tensor, domain_index: Tensor) -> Tensor:
        """Adapts a neck map.

        Args:
            feature: P_l, (B, C, H, W).
            memory: M_l = Z_l + R_l, (D, K, h, w), one for each of the D domains of the batch.
            domain_index: int64 (B,), which of the D each image reads.

        Returns:
            the map that replaces P_l, (B, C, H, W).
        """
        adapted = self.project_feature(feature)  # F, (B, C, H, W)
        memory = self.project_memory(memory)[domain_index]  # G, (B, C, h, w)
        for layer in self.layers:
            adapted = adapted + layer(adapted, memory)
        return adapted if self.project_out is None else feature + self.project_out(adapted)
