"""What a resumed training keeps of its checkpoint though the config says otherwise: told, as it has no effect."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.optim import Optimizer

from ms2a.errors import UserError

logger = logging.getLogger("mmdet")


@contextmanager
def kept_settings_told(optimizer: Optimizer | None, path: str) -> Iterator[None]:
    """While it lasts, the optimizer's state is loaded; then a warning names the settings that the config asked for.

    Args:
        optimizer: as the config made it.
        path: the checkpoint.

    Raises:
        UserError: the state is of another optimizer, or of other groups of parameters.
    """
    asked = _settings(optimizer)
    other = (
        f"resume_from {path} was trained by another optimizer, or with other groups of parameters, as of rates for "
        "parts or of what is frozen: a resumed run goes on with its own; to start from the weights, use load_from"
    )
    try:
        yield
    except (ValueError, KeyError) as error:  # torch counts groups and parameters
        raise UserError(other) from error
    told = {}
    for before, now in zip(asked, _settings(optimizer), strict=True):
        if not before.keys() <= now.keys():
            raise UserError(other)
        told |= {key: (now[key], value) for key, value in before.items() if now[key] != value}
    if told:
        what = ", ".join(f"optimizer.{key}={now!r}, not the config's {value!r}" for key, (now, value) in told.items())
        logger.warning(
            "a resumed run keeps %s; to change that, start from the weights of %s with load_from", what, path
        )


def _settings(optimizer: Optimizer | None) -> list[dict[str, Any]]:
    """The settings of each group of parameters; ``lr`` is the rate from which a schedule starts."""
    groups = []
    for group in optimizer.param_groups if optimizer else ():
        settings = {key: value for key, value in group.items() if key not in ("params", "initial_lr")}
        groups.append(settings | {"lr": group.get("initial_lr", group.get("lr"))})
    return groups
