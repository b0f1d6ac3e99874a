"""Whether what a file holds can be a detector's weights."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ms2a.errors import UserError, shortened

# Part of the names of prototypes, which are NaN until they are filled.
UNFILLED = ".prototypes"


def check_finite(tensors: Mapping[str, Any], where: str) -> None:
    """Checks that no weight is NaN or infinite: a detector with such a one finds nothing, and says nothing.

    A memory that was never filled is all NaN, which is told when it is read.

    Raises:
        UserError: one is; its name is told.
    """
    if name := weights_not_finite(tensors):
        count = int((~torch.isfinite(tensors[name])).sum())
        raise UserError(
            f"{where}: {count} of the {tensors[name].numel()} numbers of {name} are NaN or infinite: the training that "
            "wrote it had failed; take an earlier checkpoint"
        )


def weights_not_finite(tensors: Mapping[str, Any]) -> str | None:
    """The first tensor with a NaN or an infinite number; None if there is none but memories that were never filled."""
    for name, value in tensors.items():
        if not isinstance(value, Tensor) or not value.is_floating_point() or torch.isfinite(value).all():
            continue
        if not (UNFILLED in name.replace("_", ".") and torch.isnan(value).all()):
            return name
    return None


def check_classes(classes: Any, where: str) -> None:
    """Checks that the classes of a checkpoint are names.

    Raises:
        UserError: they are not.
    """
    if classes is None or isinstance(classes, str):
        return
    if not isinstance(classes, list | tuple) or not all(isinstance(name, str) for name in classes):
        raise UserError(f"{where} is damaged: its 'meta.CLASSES' is {shortened(classes)}, expected a list of names")


def is_weight(item: tuple[Any, Any]) -> bool:
    """Whether a key and its value are a name and plain real numbers."""
    name, value = item
    if not isinstance(name, str) or not isinstance(value, Tensor):
        return False
    return value.layout == torch.strided and not value.is_quantized and not value.is_complex()


def check_kinds(model: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Checks that what is a fraction in the detector is one in the weights: whole numbers would be taken for them.

    Raises:
        UserError: a tensor is of another kind.
    """
    for name, own in model.state_dict().items():
        if name in weights and own.is_floating_point() != weights[name].is_floating_point():
            raise UserError(f"{where} does not fit the detector: {name} is {weights[name].dtype}, expected {own.dtype}")
