"""References in configs, ``"${name}"``: filled in, and kept out of texts that come from elsewhere."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mmcv import Config
from mmdet.utils import replace_cfg_vals

from ms2a.errors import UserError

# The same pattern as mmdet's replace_cfg_vals.
REFERENCE = re.compile(r"\$\{([a-zA-Z\d_.]*)\}")
MAX_REFERENCE_DEPTH = 10
# Stands between $ and { where no reference is meant. A private character, which no keyboard has; one more where it is.
ESCAPE = "\ue000"


def literal(value: Any) -> Any:
    """A text, or all texts in containers, such that no ``${…}`` in it is taken for a reference.

    For paths and names that come from elsewhere than a config: :func:`fill_references` gives them back as they were.
    """
    return _in_texts(value, lambda text: re.sub(rf"\$({ESCAPE}*)\{{", rf"${ESCAPE}\1{{", text))


def _in_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return type(value)((key, _in_texts(item, change)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return type(value)(_in_texts(item, change) for item in value)
    return value


def fill_references(cfg_dict: Mapping[str, Any], path: str | os.PathLike) -> dict[str, Any]:
    """Fills in references until none is left: mmdet does one level, and a value may itself hold references.

    What :func:`literal` made is given back as it was.

    Args:
        cfg_dict: the content of a config.
        path: its file, for the errors.

    Raises:
        UserError: a reference names no key, or references refer to each other in a circle.
    """
    for _ in range(MAX_REFERENCE_DEPTH):
        if not any(REFERENCE.search(text) for _, text in texts(cfg_dict)):
            return _in_texts(cfg_dict, lambda text: re.sub(rf"\${ESCAPE}({ESCAPE}*)\{{", r"$\1{", text))
        _check_references(cfg_dict, path)
        cfg_dict = replace_cfg_vals(Config(cfg_dict))._cfg_dict
    raise UserError(
        f"config {path}: references that refer to each other in a circle, or over {MAX_REFERENCE_DEPTH} deep"
    )


def _check_references(cfg_dict: Mapping[str, Any], path: str | os.PathLike) -> None:
    for place, text in texts(cfg_dict):
        for key in REFERENCE.findall(text):
            value = cfg_dict
            for part in key.split("."):
                if not isinstance(value, Mapping) or part not in value:
                    known = ", ".join(sorted(value)) if isinstance(value, Mapping) else "none"
                    raise UserError(
                        f"config {path}: {place} refers to ${{{key}}}, but there is no {part!r}; known there: {known}"
                    )
                value = value[part]


def texts(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every string inside nested containers, with its dotted place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, f"{place}.{key}".lstrip("."))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from texts(item, f"{place}.{index}".lstrip("."))
