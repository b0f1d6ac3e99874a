"""COCO json, as it is: the check of a data set completes what tools leave out or write differently."""

from pathlib import Path
from typing import Any

from ms2a.datasets.annotations import read_coco
from ms2a.datasets.formats.builder import CocoBuilder
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
    path = _the_json(source)
    coco = read_coco(path)
    return coco if builder.class_map is None else _rebuilt(coco, path, builder)


def _the_json(source: Path) -> Path:
    paths = annotation_files(source, ".json")
    if len(paths) != 1:
        raise UserError(f"{len(paths)} json files in {source}, expected one in COCO form; name it")
    return paths[0]


def _rebuilt(coco: dict[str, Any], path: Path, builder: CocoBuilder) -> dict[str, Any]:
    """The same boxes under the names of the class map, which may join categories."""
    pictures = {image["id"]: builder.picture(image["file_name"], "", path) for image in coco["images"]}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    for annotation in coco["annotations"]:
        try:
            picture, name = pictures[annotation["image_id"]], names[annotation["category_id"]]
            x, y, width, height = map(float, annotation["bbox"])
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{path}: annotation {annotation.get('id')} has no listed image or category, or no box of numbers; "
                "a class map needs them"
            ) from None
        ignore = builder.ignored(annotation, picture.name)
        builder.add_box(picture, name, (x, y, x + width, y + height), ignore)
    return builder.build()
