"""Weights of the YOLOX project (Ge 2021) renamed for mmdet's YOLOX: its own checkpoints, and its folded ONNX files."""

import re
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from ms2a.errors import UserError

# Patterns of the YOLOX project's keys and what mmdet calls them. Its CSP layer's branches are numbered.
_CSP = {"conv1": "main_conv", "conv2": "short_conv", "conv3": "final_conv"}
_PARTS = [
    (r"backbone\.backbone\.stem\.", "backbone.stem."),
    (r"backbone\.backbone\.dark(\d)\.", lambda found: f"backbone.stage{int(found[1]) - 1}."),
    (r"backbone\.lateral_conv0\.", "neck.reduce_layers.0."),
    (r"backbone\.reduce_conv1\.", "neck.reduce_layers.1."),
    (r"backbone\.C3_p4\.", "neck.top_down_blocks.0."),
    (r"backbone\.C3_p3\.", "neck.top_down_blocks.1."),
    (r"backbone\.bu_conv2\.", "neck.downsamples.0."),
    (r"backbone\.bu_conv1\.", "neck.downsamples.1."),
    (r"backbone\.C3_n3\.", "neck.bottom_up_blocks.0."),
    (r"backbone\.C3_n4\.", "neck.bottom_up_blocks.1."),
    (r"head\.stems\.", "neck.out_convs."),
    (r"head\.(cls|reg)_convs\.", r"bbox_head.multi_level_\1_convs."),
    (r"head\.(cls|reg|obj)_preds\.", r"bbox_head.multi_level_conv_\1."),
]
_INSIDE = [
    (r"(stage[123]\.1|stage4\.2|blocks\.\d)\.(conv[123])\.(?=conv|bn)", lambda found: f"{found[1]}.{_CSP[found[2]]}."),
    (r"(stage[123]\.1|stage4\.2|blocks\.\d)\.m\.", r"\1.blocks."),
    (r"\.dconv\.", ".depthwise_conv."),
    (r"\.pconv\.", ".pointwise_conv."),
]


def is_yolox(weights: Mapping[str, Tensor]) -> bool:
    """Whether a ``state_dict`` has the YOLOX project's names."""
    return any(name.startswith("backbone.backbone.stem.") for name in weights)


def convert_yolox(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames a ``state_dict`` of the YOLOX project for mmdet's YOLOX of the same size.

    Args:
        weights: its ``model``; values are not copied.

    Raises:
        UserError: a name is not the YOLOX project's.
    """
    return {_renamed(name): value for name, value in weights.items()}


def _renamed(name: str) -> str:
    for pattern, replacement in _PARTS:
        renamed, count = re.subn(rf"^{pattern}", replacement, name)
        if count:
            break
    else:
        raise UserError(f"the weights hold {name}, which is none of YOLOX's; expected names as in yolox_s.pth")
    for pattern, replacement in _INSIDE:
        renamed = re.sub(pattern, replacement, renamed)
    return renamed


def convolutions_in_order(deepen_factor: float, depthwise: bool) -> list[str]:
    """Names of all convolutions as mmdet has them, in the order in which the YOLOX project's network runs them.

    That is the order of an exported file. Names end in ``.conv`` where a batch norm follows.

    Args:
        deepen_factor: of the size.
        depthwise: whether the size has depthwise convolutions.
    """
    return [_renamed(f"{name}.").removesuffix(".") for name in _order(deepen_factor, depthwise)]


def _order(deepen_factor: float, depthwise: bool) -> Iterator[str]:
    short, long = max(round(3 * deepen_factor), 1), max(round(3 * deepen_factor), 1) * 3
    wide = ("dconv.conv", "pconv.conv") if depthwise else ("conv",)

    def conv(name: str) -> Iterator[str]:
        yield from (f"{name}.{part}" for part in wide)

    def csp(name: str, blocks: int) -> Iterator[str]:
        yield from (f"{name}.conv1.conv", f"{name}.conv2.conv")
        for number in range(blocks):
            yield f"{name}.m.{number}.conv1.conv"
            yield from conv(f"{name}.m.{number}.conv2")
        yield f"{name}.conv3.conv"

    yield "backbone.backbone.stem.conv.conv"
    for stage, blocks in ((2, short), (3, long), (4, long)):
        yield from conv(f"backbone.backbone.dark{stage}.0")
        yield from csp(f"backbone.backbone.dark{stage}.1", blocks)
    yield from conv("backbone.backbone.dark5.0")
    yield from ("backbone.backbone.dark5.1.conv1.conv", "backbone.backbone.dark5.1.conv2.conv")
    yield from csp("backbone.backbone.dark5.2", short)
    blocks = round(3 * deepen_factor)
    for before, name in (("lateral_conv0", "C3_p4"), ("reduce_conv1", "C3_p3")):
        yield f"backbone.{before}.conv"
        yield from csp(f"backbone.{name}", blocks)
    for before, name in (("bu_conv2", "C3_n3"), ("bu_conv1", "C3_n4")):
        yield from conv(f"backbone.{before}")
        yield from csp(f"backbone.{name}", blocks)
    for level in range(3):
        yield f"head.stems.{level}.conv"
        for kind, predictors in (("cls", ("cls",)), ("reg", ("reg", "obj"))):
            for number in range(2):
                yield from conv(f"head.{kind}_convs.{level}.{number}")
            yield from (f"head.{predictor}_preds.{level}" for predictor in predictors)


def load_folded(model: nn.Module, folded: Sequence[tuple[Tensor, Tensor]], names: Sequence[str]) -> None:
    """Gives a detector the weights of a network whose batch norms were folded into its convolutions.

    The batch norms are made to add the folded bias and to change nothing else. That is exact in evaluation; before
    training, :func:`restore_batch_norms` has to follow.

    Args:
        model: the detector.
        folded: weight (O, I, h, w) and bias (O,) of each convolution.
        names: the detector's names of these convolutions.

    Raises:
        UserError: a weight has another shape than the detector's.
    """
    modules = dict(model.named_modules())
    for name, (weight, bias) in zip(names, folded, strict=True):
        conv = modules[name]
        if conv.weight.shape != weight.shape:
            raise UserError(
                f"{name} has the shape {tuple(weight.shape)} in the file, expected {tuple(conv.weight.shape)}; its "
                "layers may be in another order: export it with the YOLOX project's own tool, or convert its .pth"
            )
        conv.weight.data.copy_(weight)
        if conv.bias is not None:
            conv.bias.data.copy_(bias)
            continue
        norm = _norm_of(modules, name)
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0)
        norm.weight.data.fill_((1 + norm.eps) ** 0.5)
        norm.bias.data.copy_(bias)


@torch.no_grad()
def restore_batch_norms(model: nn.Module, batches: Iterator[Tensor]) -> int:
    """Takes the statistics of all batch norms anew over images, and leaves what they compute in evaluation as it was.

    A batch norm that follows a convolution ``z`` becomes ``w (z - mean) / std + b`` with the mean and deviation of
    ``z`` over the images, and with the ``w`` and ``b`` that give the same function of ``z`` as before.

    Args:
        model: a detector in evaluation mode, on the CPU.
        batches: (B, 3, H, W) images in 0–255.

    Returns:
        the number of images.

    Raises:
        UserError: there is no image.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    sums = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def add(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        z = inputs[0].detach().double().transpose(0, 1).flatten(1)
        sums[norm] += torch.stack([torch.full_like(z[:, 0], z.shape[1]), z.sum(1), z.square().sum(1)])

    handles = [norm.register_forward_pre_hook(add) for norm in norms]
    count = 0
    for images in batches:
        model.bbox_head(model.neck(model.backbone(images)))
        count += len(images)
    for handle in handles:
        handle.remove()
    if not count:
        raise UserError("no image could be read to take the statistics of batch norms over; give another folder")
    for norm, (number, total, squares) in sums.items():
        _set_statistics(norm, total / number, (squares / number - (total / number).square()).clamp(min=0))
    return count


def _set_statistics(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor) -> None:
    """Sets mean and variance (C,), float64, and changes weight and bias so that evaluation stays what it was."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - norm.running_mean.double() * scale
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(var)
    norm.weight.data.copy_(scale * (norm.running_var.double() + norm.eps).sqrt())
    norm.bias.data.copy_(shift + scale * norm.running_mean.double())


def _norm_of(modules: Mapping[str, nn.Module], name: str) -> nn.BatchNorm2d:
    return modules[f"{name.removesuffix('.conv')}.bn"]
