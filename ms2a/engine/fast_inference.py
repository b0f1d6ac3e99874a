"""A trained detector made faster for inference: the same function, to rounding."""

import torch
from mmcv.cnn import ConvModule, fuse_conv_bn
from mmcv.cnn.bricks import Swish
from torch import Tensor, nn

from ms2a.adaptation.fast import FastMLP

# oneDNN's convolutions, with weights laid out once and for all and the activation in the same pass.
_ONEDNN = torch.ops.mkldnn
PACKED_PARTS = ("backbone", "neck", "adapter", "bbox_head")


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """Multiplies every batch norm into the convolution before it, in place.

    Args:
        model: a detector in evaluation mode.

    Returns:
        the model, which can't be trained any more.
    """
    with torch.no_grad():
        return fuse_conv_bn(model)


def speed_up(model: nn.Module) -> nn.Module:
    """Folds the batch norms, on a CPU packs the convolutions for oneDNN, and reads the memory once, in place.

    Args:
        model: a detector in evaluation mode, on the device where it will be used.

    Returns:
        the model, which can't be trained, moved, saved or given other weights any more.
    """
    device = next(model.parameters()).device
    fold_batch_norms(model)
    if device.type == "cpu" and torch.backends.mkldnn.is_available() and hasattr(_ONEDNN, "_convolution_pointwise"):
        for name in PACKED_PARTS:
            if part := getattr(model, name, None):  # a detector may have no adapter
                _pack(part)
    if getattr(model, "adapter", None):
        model.adapter.keep()
    return model


class PackedConv(nn.Module):
    """A convolution by oneDNN, (B, C, H, W) → (B, C', H', W').

    These operators are private to torch. What is public is slower: the folded network as it is,
    ``torch.jit.freeze`` with ``optimize_for_inference``, and ``torch.compile``, which compiles for minutes besides
    (``python -m benchmarks.convolutions``; docs/speed.md has the figures).

    Args:
        conv: the convolution, on the CPU.
        activation: ``"swish"``, ``"relu"`` or ``"none"``: what follows it.
    """

    def __init__(self, conv: nn.Conv2d, activation: str = "none"):
        super().__init__()
        self.options = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.activation = activation
        self.bias = conv.bias
        # Neither is a parameter: torch can neither save nor copy the packed layout.
        self.weight, self.packed = conv.weight.detach(), None

    def forward(self, x: Tensor) -> Tensor:
        """Convolves, then activates."""
        weight = self.weight
        if weight is not None:
            # The best layout depends on the input's size; at another one oneDNN may rearrange it in every call.
            self.packed = _ONEDNN._reorder_convolution_weight(weight, *self.options, list(x.shape))
            self.weight = None
        return _ONEDNN._convolution_pointwise(x, self.packed, self.bias, *self.options, self.activation, [], "")


def _pack(module: nn.Module) -> None:
    for name, child in module.named_children():
        if _is_folded_swish(child):
            setattr(module, name, PackedConv(child.conv, "swish"))
        elif isinstance(child, FastMLP):
            child.fc1, child.fc2, child.relu = PackedConv(child.fc1, "relu"), PackedConv(child.fc2), nn.Identity()
        elif _is_plain(child):
            setattr(module, name, PackedConv(child))
        else:
            _pack(child)


def _is_folded_swish(module: nn.Module) -> bool:
    """Convolution, a batch norm that was folded away or none, then x·sigmoid(x), in this order."""
    return (
        isinstance(module, ConvModule)
        and _is_plain(module.conv)
        and module.order == ("conv", "norm", "act")
        and not module.with_explicit_padding
        and (not module.with_norm or isinstance(module.norm, nn.Identity))
        and module.with_activation
        and isinstance(module.activate, nn.SiLU | Swish)
    )


def _is_plain(module: nn.Module) -> bool:
    return type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str)
