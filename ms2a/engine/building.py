"""Mistakes inside what mmcv's registries build, told with the place in the config that led there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from mmcv import Config
from mmcv.utils.registry import build_from_cfg

from ms2a.errors import UserError


@contextmanager
def config_mistakes_told(cfg: Config) -> Iterator[None]:
    """While it lasts, what a constructor raises on a config's behalf becomes one line.

    Raises:
        UserError: a class that a config names cannot be built with its arguments; the line names their place.
    """
    try:
        yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        part = _innermost_part(error.__traceback__)
        if part is None:
            raise
        text = " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())
        place = _place_of(part, cfg._cfg_dict) or f"type={part.get('type')!r}"
        raise UserError(f"config {cfg.filename}: {place} cannot be built: {type(error).__name__}: {text}") from error


def _innermost_part(traceback: TracebackType | None) -> dict[str, Any] | None:
    """The arguments of the last of mmcv's builders that an error went through."""
    part = None
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_code is build_from_cfg.__code__ and isinstance(frame.f_locals["cfg"], dict):
            part = frame.f_locals["cfg"]
        traceback = traceback.tb_next
    return part


def _place_of(part: Mapping[str, Any], value: Any, place: str = "") -> str | None:
    """Where in a config something equal stands; ``type`` and what else the builders put in may be missing there."""
    if isinstance(value, Mapping):
        if value and value.items() <= part.items() and value.get("type", part.get("type")) == part.get("type"):
            return place or "the whole"
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return None
    for key, item in items:
        if found := _place_of(part, item, f"{place}.{key}".lstrip(".")):
            return found
    return None
