"""What is read in a memory's place to tell what the memory is worth."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ms2a.errors import UserError

STORED, RANDOM, NONE = "stored", "random", "none"


def check_control(control: str, where: str, known: Sequence[str] = (STORED, RANDOM, NONE)) -> str:
    """Returns ``control``.

    Raises:
        UserError: the control is not among the known ones.
    """
    if control not in known:
        raise UserError(f"{where} is {control!r}, expected {', '.join(map(repr, known[:-1]))} or {known[-1]!r}")
    return control


def in_place_of(stored: Tensor, control: str, dim: tuple[int, ...] | None = None) -> Tensor:
    """What is read in the place of stored prototypes.

    Args:
        stored: floating point, of any shape.
        control: :data:`STORED`, the prototypes themselves; :data:`RANDOM`, normal noise of their mean and variance, by
            torch's generator; :data:`NONE`, zeros.
        dim: mean and variance are those over these dimensions; None: over all.
    """
    if control == RANDOM:
        deviation, mean = torch.std_mean(stored, dim, keepdim=True) if dim else (stored.std(), stored.mean())
        return torch.randn_like(stored) * deviation + mean
    return torch.zeros_like(stored) if control == NONE else stored
