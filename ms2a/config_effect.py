"""Which options of a command line change anything in a config."""

import difflib
from collections.abc import Mapping
from typing import Any

from ms2a.config_references import REFERENCE, texts
from ms2a.config_schema import Settings

# Keys that are read though no other key of a config refers to them, besides those that the schema knows.
READ = {"momentum_config", "auto_scale_lr", "dist_params", "mp_start_method", "device", "gpu_ids", "deterministic"}
READ |= {"train_cfg", "test_cfg", "benchmark", "memory_img_scale"}
# Variables of recipes that the code reads as well. A settled config has their values where they belong.
VARIABLES = {"data_roots", "source_domain", "target_domain", "memory_dir", "memory_files", "memory_images", "prototype"}
VARIABLES |= {"style_domain", "colour_domain", "colour_prob", "num_colours"}
NONE, NEW, KNOWN = 0, 1, 2
"""What an option does: nothing; adds a part that the config doesn't have; changes one that it has."""


def effect(option: str, config: Mapping[str, Any]) -> int:
    """What an option does to a config: :data:`NONE`, :data:`NEW` or :data:`KNOWN`.

    Args:
        option: its dotted key.
        config: before its references are filled in.
    """
    key, *rest = option.split(".")
    if not _is_read(key, config):
        return NONE
    if key not in config:
        return NEW
    value = config[key]
    for part in rest[:-1]:
        value = _inside(value, part)
        if value is None:
            return NEW
    return KNOWN


def _inside(value: Any, part: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, (list, tuple)) and part.isdecimal() and int(part) < len(value):
        return value[int(part)]
    return None


def is_settled(config: Mapping[str, Any]) -> bool:
    """Whether no reference is left to be filled in."""
    return not any(map(_referred, config.values()))


def _is_read(key: str, config: Mapping[str, Any]) -> bool:
    """Whether anybody reads a top-level key: the code, or a reference in another key that is read."""
    referred = {top: _referred(value) for top, value in config.items()}
    read = set(Settings.model_fields) | READ | VARIABLES
    if not any(referred.values()):
        read -= VARIABLES
    waiting = list(read)
    while waiting:
        new = referred.get(waiting.pop(), set()) - read
        read |= new
        waiting += new
    return key in read


def _referred(value: Any) -> set[str]:
    return {reference.split(".")[0] for _, text in texts(value) for reference in REFERENCE.findall(text)}


def places_of(name: str, value: Any, place: str = "") -> list[str]:
    """The dotted places below the top at which a config has a key of that name."""
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, (list, tuple)):
        items = list(enumerate(value))
    else:
        return []
    own = [f"{place}.{name}"] if place and isinstance(value, Mapping) and name in value else []
    return own + [found for key, item in items for found in places_of(name, item, f"{place}.{key}".lstrip("."))]


def misspelt(option: str, config: Mapping[str, Any]) -> str | None:
    """The key that an option means, of a config or of its ``data``: it has none of the option's, and one much like it.

    Below those, registries tell what they don't know.
    """
    key, *rest = option.split(".")
    if key not in config:
        meant = difflib.get_close_matches(key, config, 1, cutoff=0.85)
    elif key == "data" and rest and isinstance(config[key], Mapping) and rest[0] not in config[key]:
        meant = difflib.get_close_matches(rest[0], config[key], 1, cutoff=0.8)
    else:
        meant = []
    return meant[0] if meant else None
