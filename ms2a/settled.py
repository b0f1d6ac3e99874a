"""Settled configs as text: Python files of plain values, in which no name, path or other text can be code.

Every text is written by ``repr``. What is written is read back before the file takes its place.
"""

import ast
import keyword
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmcv import Config

from ms2a.artefacts import atomic_path
from ms2a.config_references import literal
from ms2a.errors import UserError

WIDTH = 116
INFINITY = "1e999"  # which Python reads as infinite; "inf" would be a name


def config_text(cfg: Config) -> str:
    """The text of a settled config, from which :func:`ms2a.config.load_config` makes the same config.

    Args:
        cfg: from :func:`ms2a.config.settle`.

    Raises:
        UserError: a value is none that can be written down.
    """
    content = cfg._cfg_dict.to_dict()
    lines = []
    for key, value in content.items():
        if not (isinstance(key, str) and key.isidentifier()) or keyword.iskeyword(key):
            raise UserError(f"config {cfg.filename}: its key {key!r} is no name of Python; choose another")
        lines.append(f"{key} = {_text(value, key, cfg.filename)}\n")
    text = "".join(lines)
    _check_equal({key: value for key, value in _assignments(text)}, content, cfg.filename)
    return text


def write_config(cfg: Config, path: str | os.PathLike) -> None:
    """Writes a settled config, whole or not at all; the file is read back first.

    Raises:
        UserError: a value is none that can be written down, or is read back as another.
    """
    text = config_text(cfg)
    with atomic_path(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")
        _check_equal(Config._file2dict(str(temporary))[0], cfg._cfg_dict.to_dict(), cfg.filename)


def _assignments(text: str) -> Iterator[tuple[str, Any]]:
    """Key and value of each line; anything but plain values is a bug, and no name can lead to it."""
    for statement in ast.parse(text).body:
        yield statement.targets[0].id, ast.literal_eval(statement.value)


def _check_equal(read: Mapping[str, Any], content: Mapping[str, Any], path: Any) -> None:
    for key in content.keys() | read.keys():
        expected = literal(content.get(key))
        if key not in read or read[key] != expected:
            raise UserError(
                f"config {path}: {key!r} would be read back as {read.get(key)!r}, not as {expected!r}; change its value"
            )


def _text(value: Any, place: str, path: Any, indent: int = 0) -> str:
    """A value as Python writes it, over several lines where one is too short."""
    if not isinstance(value, (Mapping, list, tuple)):
        return _scalar(value, place, path)
    first, last = ("{", "}") if isinstance(value, Mapping) else ("[", "]") if isinstance(value, list) else ("(", ")")
    inner = indent + 4
    if isinstance(value, Mapping):
        parts = [
            f"{_scalar(key, place, path)}: {_text(item, f'{place}.{key}', path, inner)}" for key, item in value.items()
        ]
    else:
        parts = [_text(item, f"{place}.{number}", path, inner) for number, item in enumerate(value)]
    comma = "," if isinstance(value, tuple) and len(parts) == 1 else ""
    line = first + ", ".join(parts) + comma + last
    if "\n" not in line and indent + len(line) <= WIDTH:
        return line
    return first + "".join(f"\n{' ' * inner}{part}," for part in parts) + f"\n{' ' * indent}{last}"


def _scalar(value: Any, place: str, path: Any) -> str:
    if isinstance(value, str):
        # mmcv fills in what stands between two braces, wherever in the file it is.
        return repr(literal(str(value))).replace("{{", "{\\x7b")
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, (int, np.integer)):
        return repr(int(value))
    if isinstance(value, (float, np.floating)) and not np.isnan(value):
        return repr(float(value)).replace("inf", INFINITY)
    raise UserError(f"config {path}: {place} is {value!r}; expected a number, a text, or containers of these")
