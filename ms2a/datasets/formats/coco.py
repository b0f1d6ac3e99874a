"""COCO json: what other tools leave out or write differently is completed, so that mmdet and pycocotools read it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ms2a.artefacts import read_json
from ms2a.datasets.annotations import check_coco, mend_annotations
from ms2a.datasets.formats.builder import IGNORE_FLAGS, CocoBuilder, tell_mended
from ms2a.datasets.formats.shapes import box_of_points, box_of_rotated_box
from ms2a.errors import UserError


def read_coco_json(source: Path, builder: CocoBuilder) -> dict[str, Any]:
    """Reads a COCO file; ids, categories and further keys stay as they are.

    Args:
        source: the json, or a folder that holds one.
        builder: its image folder and findings are used.

    Returns:
        The COCO dictionary; the same as in the file where nothing had to be done.

    Raises:
        UserError: missing, truncated, or not in COCO form; several files in the folder.
    """
    path = _the_json(source)
    coco = read_json(path, "annotation file")
    if isinstance(coco, dict) and isinstance(coco.get("images"), list):
        for image in coco["images"]:
            if isinstance(image, dict) and isinstance(image.get("file_name"), str):
                _complete_image(image, builder)
    check_coco(coco, path)
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    for annotation in coco["annotations"]:
        _complete_annotation(annotation, names.get(annotation["image_id"], str(path)), builder)
    tell_mended(mend_annotations(coco), builder.findings)
    return coco if builder.class_map is None else _rebuilt(coco, path, builder)


def _the_json(source: Path) -> Path:
    if not source.is_dir():
        return source
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() == ".json")
    if len(paths) != 1:
        raise UserError(f"{len(paths)} json files in {source}, expected one in COCO form; name it")
    return paths[0]


def _complete_image(image: dict[str, Any], builder: CocoBuilder) -> None:
    """Finds the picture, and its size where the file gives none."""
    found = builder.pictures.find(image["file_name"])
    if found is None:
        builder.findings.warn(
            "pictures listed that are not in the image folder", image["file_name"], "check the folder or the names"
        )
        return
    if found != image["file_name"]:
        image["file_name"] = found
    if image.get("width") is None or image.get("height") is None:
        image["width"], image["height"] = builder.pictures.header(found).size_wh
        builder.findings.note("sizes missing and read from the pictures", found)


def _complete_annotation(annotation: dict[str, Any], name: str, builder: CocoBuilder) -> None:
    flags = {key: annotation[key] for key in IGNORE_FLAGS if key in annotation}
    attributes = annotation.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    flags |= {key: attributes[key] for key in IGNORE_FLAGS if key in attributes}
    # Not by truthiness: "0" and "false" are true for Python.
    ignore = any([builder.flag(value, f"{key} in {name}") for key, value in flags.items()])
    if ignore and not builder.flag(annotation.get("iscrowd"), name):
        builder.findings.note("objects marked as ignored or difficult, taken for regions to ignore", name)
    if ignore or "iscrowd" in annotation:
        annotation["iscrowd"] = int(ignore)
    annotation.pop("ignore", None)  # mmdet and the evaluation of COCO understand it differently
    box = annotation.get("bbox")
    if not box and (points := _points(annotation.get("segmentation"))):
        x1, y1, x2, y2 = box_of_points(points)
        annotation["bbox"] = box = [x1, y1, x2 - x1, y2 - y1]
        builder.findings.note("polygons without a box; the box around them taken", name)
    if not (isinstance(box, list) and len(box) == 4 and all(isinstance(value, int | float) for value in box)):
        return
    if box[2] < 0 or box[3] < 0:
        annotation["bbox"] = box = [box[0] + min(box[2], 0), box[1] + min(box[3], 0), abs(box[2]), abs(box[3])]
        builder.findings.note("boxes drawn from another corner than the upper left put in order", name)
    if degrees := _number(attributes.get("rotation")) % 180:
        x1, y1, x2, y2 = box_of_rotated_box((box[0], box[1], box[0] + box[2], box[1] + box[3]), degrees)
        annotation["bbox"] = [x1, y1, x2 - x1, y2 - y1]
        builder.findings.note("rotated boxes replaced by the upright box around them", name)


def _points(segmentation: Any) -> list[tuple[float, float]]:
    """The vertices of all polygons of a segmentation."""
    polygons = segmentation if isinstance(segmentation, list) else []
    if polygons and isinstance(polygons[0], int | float):  # one polygon without the list around it
        polygons = [polygons]
    return [
        pair for polygon in polygons if _is_numbers(polygon) for pair in zip(polygon[::2], polygon[1::2], strict=False)
    ]


def _is_numbers(values: Any) -> bool:
    return isinstance(values, Iterable) and all(isinstance(value, int | float) for value in values)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and value == value else 0.0


def _rebuilt(coco: dict[str, Any], path: Path, builder: CocoBuilder) -> dict[str, Any]:
    """The same boxes under the names of the class map, which may join categories."""
    pictures = {image["id"]: builder.picture(image["file_name"], "", path) for image in coco["images"]}
    names = {category["id"]: category["name"] for category in coco["categories"]}
    for annotation in coco["annotations"]:
        x, y, width, height = annotation["bbox"]
        name, ignore = names[annotation["category_id"]], bool(annotation["iscrowd"])
        builder.add_box(pictures[annotation["image_id"]], name, (x, y, x + width, y + height), ignore)
    return builder.build()
