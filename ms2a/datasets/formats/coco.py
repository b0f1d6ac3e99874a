"""COCO json, as it is: the check of a data set completes what tools leave out or write differently."""

from pathlib import Path
from typing import Any

from ms2a.datasets.annotations import read_coco
from ms2a.datasets.formats.builder import IGNORE, CocoBuilder
from ms2a.datasets.formats.files import annotation_files
from ms2a.errors import UserError


def read_coco_json(source: Path, builder: CocoBuilder) -> dict[str, Any]:
    """Reads a COCO file; without a class map, everything in it stays as it is.

    Args:
        source: the json, or a folder that holds one.
        builder: renames by its class map.

    Returns:
        The COCO dictionary.

    Raises:
        UserError: missing, truncated, or not in COCO form; several files in the folder.
    """
    coco = read_coco(_the_json(source))
    return coco if builder.class_map is None else _renamed(coco, builder)


def _the_json(source: Path) -> Path:
    paths = annotation_files(source, ".json")
    if len(paths) != 1:
        raise UserError(f"{len(paths)} json files in {source}, expected one in COCO form; name it")
    return paths[0]


def _renamed(coco: dict[str, Any], builder: CocoBuilder) -> dict[str, Any]:
    """The same boxes under the names of the class map, which may join categories; all else stays for the check."""
    class_map = builder.class_map
    classes = builder.classes or list(dict.fromkeys(name for name in class_map.values() if name != IGNORE))
    ids = {name: number for number, name in enumerate(classes, start=1)}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    annotations = []
    for annotation in coco["annotations"]:
        name = names.get(annotation["category_id"])
        label = class_map.get(name)
        if name is None:
            builder.findings.warn("objects left out, of a category that is not listed", str(annotation["category_id"]))
        elif label is None:
            builder.findings.warn(f"objects called {name!r} left out, not named by the class map")
        elif label == IGNORE:
            annotations += [{**annotation, "category_id": number, "iscrowd": 1} for number in ids.values()]
        elif label in ids:
            annotations.append({**annotation, "category_id": ids[label]})
        else:
            builder.findings.warn(f"objects called {name!r} left out, {label!r} is not among the classes")
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    return {**coco, "annotations": annotations, "categories": categories}
