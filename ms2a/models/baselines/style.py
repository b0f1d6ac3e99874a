"""Memory-guided style: source features take on the statistics that the unlabelled target images were seen to have."""

import torch
from mmcv.runner import BaseModule
from mmdet.models.builder import NECKS
from torch import Tensor, nn

from ms2a.errors import UserError
from ms2a.memory import read_prototypes
from ms2a.memory.controls import RANDOM, STORED, check_control, in_place_of

# The layers of the backbone whose channel statistics are a domain's style, in the order in which data pass them.
STYLE_LAYERS = ("stem", "stage1")


def channel_statistics(feature: Tensor) -> Tensor:
    """Mean and standard deviation of each channel of each image, (B, C, H, W) → (B, 2, C)."""
    deviation, mean = torch.std_mean(feature, dim=(2, 3))
    return torch.stack([mean, deviation], dim=1)


def restyle(feature: Tensor, statistics: Tensor) -> Tensor:
    """Gives each image's channels another mean and deviation (Huang 2017, AdaIN, Eq. 8).

    Args:
        feature: (B, C, H, W).
        statistics: (B, 2, C), the wanted means and deviations.

    Returns:
        (B, C, H, W).
    """
    own = channel_statistics(feature).detach()[..., None, None]  # (B, 2, C, 1, 1)
    wanted = statistics[..., None, None]
    return (feature - own[:, 0]) / (own[:, 1] + 1e-5) * wanted[:, 1] + wanted[:, 0]


@NECKS.register_module()
class StyleMemory(BaseModule):
    """K styles of one domain, each the channel statistics at :data:`STYLE_LAYERS`, and the restyling by them.

    In training an image of another domain is restyled with probability ``prob``: towards one of the K styles, each
    equally often, by a random share between none and all of the way (Zhou 2021, MixStyle).

    Args:
        domain: whose styles these are; its own images are left alone.
        channels: C of each of the layers.
        num_styles: K.
        file: prototypes of :meth:`extract_fea_fewshot.py --prototype style`, read when the weights are initialised
            for training.
        prob: share of the other domains' images that are restyled.
        prototypes: ``"stored"``, or as a control ``"random"``: noise of the mean and variance that all stored means of
            a layer have together, and all its deviations.
        init_cfg: as everywhere in mmcv.

    Raises:
        UserError: ``prototypes`` is none of its names.
    """

    def __init__(
        self,
        domain: str,
        channels: tuple[int, ...],
        num_styles: int,
        file: str | None = None,
        prob: float = 0.8,
        prototypes: str = STORED,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        check_control(prototypes, "style.prototypes", (STORED, RANDOM))
        self.domain, self.prob, self.file, self.prototypes = domain, prob, file, prototypes
        self.num_styles = num_styles
        self._filled = False  # seen to be: asking in every step would make a GPU wait
        for layer, count in zip(STYLE_LAYERS, channels, strict=True):
            self.register_buffer(layer, torch.full((num_styles, 2, count), float("nan")))

    def init_weights(self) -> None:
        """Reads the styles.

        Raises:
            UserError: the file is missing or holds other numbers of styles or channels.
        """
        super().init_weights()
        if not self.file:
            return
        stored = read_prototypes(self.file)
        if len(stored) != len(STYLE_LAYERS):
            raise UserError(f"style file {self.file} holds {len(stored)} layers, expected {len(STYLE_LAYERS)}")
        for layer, rows in zip(STYLE_LAYERS, stored, strict=True):
            buffer = self.get_buffer(layer)
            styles = rows.flatten(1)
            if styles.numel() != buffer.numel() or len(styles) != self.num_styles:
                raise UserError(
                    f"style file {self.file} has {len(styles)} styles of {styles.shape[1] // 2} channels at {layer}, "
                    f"the config {len(buffer)} of {buffer.shape[2]}; extract and cluster again or change the config"
                )
            buffer.copy_(in_place_of(styles.view_as(buffer), self.prototypes, dim=(0, 2)))
            buffer[:, 1].clamp_(min=0)

    def draw(self, domains: list[str], device: torch.device) -> tuple[Tensor, Tensor]:
        """For each image a style (B,) int64, and how far to go towards it (B,) in 0–1; 0 for images to leave alone.

        Raises:
            UserError: the styles were never read.
        """
        if not self._filled:
            if self.stem.isnan().any():
                raise UserError(
                    f"the style memory of {self.domain!r} is empty: give its *_style_cluster.pth as style.file"
                )
            self._filled = True
        styles = torch.randint(self.num_styles, (len(domains),), device=device)
        share = torch.rand(len(domains), device=device)
        foreign = torch.tensor([domain != self.domain for domain in domains], device=device)
        return styles, share * (foreign & (torch.rand(len(domains), device=device) < self.prob))

    def forward(self, feature: Tensor, layer: str, drawn: tuple[Tensor, Tensor]) -> Tensor:
        """Restyles the features of a layer.

        Args:
            feature: (B, C, H, W).
            layer: one of :data:`STYLE_LAYERS`.
            drawn: from :meth:`draw`.

        Returns:
            (B, C, H, W).
        """
        styles, share = drawn
        share = share[:, None, None]
        own = channel_statistics(feature).detach()
        wanted = own + share * (getattr(self, layer)[styles] - own)
        return torch.where(share[..., None] > 0, restyle(feature, wanted), feature)


def attach(style: StyleMemory, backbone: nn.Module, drawn) -> None:
    """Lets a backbone's layers pass their output through the style memory.

    Args:
        style: the memory.
        backbone: with the layers of :data:`STYLE_LAYERS`.
        drawn: called without arguments; what :meth:`StyleMemory.draw` gave for the batch, or None to change nothing.
    """
    for layer in STYLE_LAYERS:

        def hook(_module, _inputs, output, layer=layer):
            choice = drawn()
            return output if choice is None else style(output, layer, choice)

        getattr(backbone, layer).register_forward_hook(hook)
