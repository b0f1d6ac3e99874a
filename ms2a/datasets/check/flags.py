"""Crowd, difficult and ignore: read by value, with one meaning everywhere."""

import math
from collections.abc import Mapping
from typing import Any

from ms2a.datasets.check.working import Working
from ms2a.datasets.findings import Findings

YES = {"true", "yes", "y", "on"}
IGNORE_FLAGS = ("ignore", "iscrowd", "is_crowd", "crowd", "difficult")
"""Names of flags and attributes of an object that make it a region to ignore."""
NO = {"", "false", "no", "n", "off", "none", "null", "unspecified", "unknown"}


def read_flag(value: Any) -> bool | None:
    """Reads a flag as annotation tools write flags.

    Args:
        value: a number, a truth value, a text such as ``"1"``, ``"False"``, ``"0.0"``, ``"Unspecified"``, or None.

    Returns:
        Whether the flag is set, or None where the value is neither yes nor no.
    """
    text = "" if value is None else str(value).strip().lower()
    if text in YES or text in NO:
        return text in YES
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number > 0


def read_ignored(stated: Mapping[str, Any], findings: Findings) -> bool | None:
    """Whether one of :data:`IGNORE_FLAGS` is set, by its value; None where there is none of them.

    A value that says neither yes nor no counts as no, which the findings are told.
    """
    flags = {key: read_flag(stated[key]) for key in IGNORE_FLAGS if key in stated}
    for key in (key for key, flag in flags.items() if flag is None):
        what = f"values of '{key}' that are neither yes nor no, taken for no"
        findings.warn(what, repr(stated[key]), "write 0 or 1")
    return any(flags.values()) if flags else None


def stated_of(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a box, beside it or among its attributes."""
    return {**attributes_of(annotation), **annotation}


def attributes_of(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a box, which may be written as a mapping or as a list of names and values."""
    attributes = annotation.get("attributes")
    if isinstance(attributes, Mapping):
        return dict(attributes)
    pairs = attributes if isinstance(attributes, list) else []
    return {pair["name"]: pair.get("value") for pair in pairs if isinstance(pair, Mapping) and "name" in pair}


def check_flags(data: Working) -> None:
    """Makes ``iscrowd`` 0 or 1: whether one of :data:`IGNORE_FLAGS` is set, beside the box or among its attributes."""
    for annotation in data.coco["annotations"]:
        stated = stated_of(annotation)
        ignored = read_ignored(stated, data.findings)
        if ignored is None:
            continue
        if ignored and not read_flag(stated.get("iscrowd")):
            data.findings.note("boxes with 'ignore', 'difficult' or the like: neither counted nor punished")
        # mmdet passes over a box with 'ignore', and pycocotools knows only 'iscrowd'.
        data.changed |= annotation.pop("ignore", None) is not None or annotation.get("iscrowd") != ignored
        annotation["iscrowd"] = int(ignored)


def check_ignored(data: Working) -> None:
    """Refuses a set, and warns of a class, with nothing but boxes to be ignored."""
    all_of: dict[str, int] = {}
    for annotation in data.annotations_of_classes():
        name = data.names_by_id[annotation["category_id"]]
        all_of[name] = all_of.get(name, 0) + 1
    counted = data.boxes_by_class()
    ignored = {name: count for name, count in all_of.items() if not counted[name]}
    if ignored and not any(counted.values()):
        what = "boxes, all of them crowd, difficult or ignored, so that nothing is left to be found"
        remedy = "set 'iscrowd', 'ignore' or 'difficult' to 0"
        data.findings.add("error", what, remedy=remedy, count=sum(ignored.values()))
        return
    for name, count in ignored.items():
        data.findings.warn(f"boxes of {name!r}, all of them crowd, difficult or ignored", count=count)
