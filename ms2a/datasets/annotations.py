"""COCO annotation files as plain dictionaries: reading them with clear errors, mending what can be mended."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ms2a.artefacts import read_json
from ms2a.datasets.boxes import as_xywh
from ms2a.errors import UserError

MIN_BOX_SIDE = 1.0
"""Shortest side, in pixels, of a box that counts; mmdet ignores shorter ones in training too."""

NUMBER, ID = int | float, int | float | str
_EXPECTED = {NUMBER: "a number above 0", ID: "a number or a text", str: "a text"}
# List of the file → what an entry is called, and its required keys with the types of their values.
_REQUIRED = {
    "images": ("image", {"id": ID, "file_name": str}),
    "annotations": ("annotation", {"image_id": ID, "category_id": ID}),
    "categories": ("category", {"id": ID, "name": str}),
}


def read_coco(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a COCO detection file; ``annotations`` may be absent, and the sizes of images.

    Args:
        path: the JSON file.

    Returns:
        The parsed dictionary with lists under ``images``, ``annotations`` and ``categories``.

    Raises:
        UserError: the file is missing, truncated, or not in COCO form.
    """
    coco = read_json(path, "annotation file")
    if not isinstance(coco, dict) or not isinstance(coco.get("images"), list):
        raise UserError(f"annotation file {path} is not in COCO form: expected an object with a list 'images'")
    for key in ("annotations", "categories"):
        if not isinstance(coco.setdefault(key, []), list):
            raise UserError(f"annotation file {path} is not in COCO form: '{key}' should be a list")
    for key, (what, kinds) in _REQUIRED.items():
        _require(coco[key], kinds, what, path)
    stated = [image for image in coco["images"] if image.get("width") and image.get("height")]
    _require(stated, {"width": NUMBER, "height": NUMBER}, "image", path)
    for what, values in (
        ("image id", [image["id"] for image in coco["images"]]),
        ("category name", [category["name"] for category in coco["categories"]]),
        ("category id", [category["id"] for category in coco["categories"]]),
    ):
        if len(set(values)) < len(values):
            twice = next(value for value in values if values.count(value) > 1)
            raise UserError(f"annotation file {path}: {what} {twice!r} appears more than once; make it unique")
    return coco


def _require(entries: Sequence[Any], kinds: Mapping[str, Any], what: str, path: str | os.PathLike) -> None:
    for position, entry in enumerate(entries):
        for key, kind in kinds.items():
            if not isinstance(entry, dict) or key not in entry:
                raise UserError(f"annotation file {path}: {what} number {position} lacks '{key}'")
            value = entry[key]
            if not isinstance(value, kind) or (kind is NUMBER and not value > 0):
                raise UserError(
                    f"annotation file {path}: '{key}' of {what} number {position} is {value!r}, "
                    f"expected {_EXPECTED[kind]}"
                )


def clip_box(box_xywh: Any, size_wh: tuple[float, float]) -> list[float] | None:
    """The part of a box inside its image.

    Args:
        box_xywh: left, top, width, height in pixels.
        size_wh: width and height of the image in pixels.

    Returns:
        The clipped box, or None where the box is malformed or what is left has a side below one pixel.
    """
    if not isinstance(box_xywh, list | tuple) or len(box_xywh) != 4:
        return None
    if not all(isinstance(value, NUMBER) for value in box_xywh):
        return None
    x, y, width, height = box_xywh
    x1, y1 = max(x, 0), max(y, 0)
    x2, y2 = min(x + width, size_wh[0]), min(y + height, size_wh[1])
    # Written so that a NaN is refused as well.
    if not (x2 - x1 >= MIN_BOX_SIDE and y2 - y1 >= MIN_BOX_SIDE):
        return None
    return as_xywh((x1, y1, x2, y2))


@dataclass
class MendReport:
    """What :func:`mend_annotations` changed."""

    dropped: int = 0
    clipped: int = 0
    completed: int = 0
    orphaned: int = 0
    unnamed: int = 0
    renumbered: bool = False

    def __bool__(self) -> bool:
        return any((self.dropped, self.clipped, self.completed, self.orphaned, self.unnamed, self.renumbered))

    def warning(self) -> str:
        """One sentence on boxes dropped or clipped; empty if there were none (completing is no one's mistake)."""
        parts = [
            (self.dropped, "dropped: outside the image, malformed or under one pixel"),
            (self.clipped, "clipped to the image"),
            (self.orphaned, "dropped: of an image that is not listed"),
            (self.unnamed, "dropped: of a category that is not listed"),
        ]
        return "; ".join(f"{count} annotation(s) {what}" for count, what in parts if count)


def mend_annotations(coco: dict[str, Any]) -> MendReport:
    """Makes annotations fit for mmdet and COCO evaluation, in place.

    Boxes are clipped to their image; empty ones, and those of images or categories that are not listed, are dropped;
    ``area`` and ``iscrowd``, which box-only files may lack, are filled in; missing, repeated, zero or text ids are
    renumbered (COCO evaluation takes id 0 for "unmatched", and keeps ids in arrays of numbers).

    Args:
        coco: dictionary as from :func:`read_coco`.

    Returns:
        Counts of what was changed; falsy where nothing was.
    """
    report = MendReport()
    sizes_wh = {image["id"]: (image["width"], image["height"]) for image in coco["images"]}
    known, kept = {category["id"] for category in coco["categories"]}, []
    for annotation in coco["annotations"]:
        if annotation["category_id"] not in known:
            report.unnamed += 1
            continue
        if annotation["image_id"] not in sizes_wh:
            report.orphaned += 1
            continue
        box = clip_box(annotation.get("bbox"), sizes_wh[annotation["image_id"]])
        if box is None:
            report.dropped += 1
            continue
        if box != list(annotation["bbox"]):
            # A rounding error of a hundredth of a pixel is put right without a word.
            moved = max(abs(new - old) for new, old in zip(box, annotation["bbox"], strict=True)) > 0.01
            report.clipped += moved
            report.completed += not moved
            annotation["bbox"] = box
        area, crowd = annotation.get("area"), annotation.get("iscrowd")
        if not isinstance(area, NUMBER) or not area > 0 or crowd is None:
            annotation["area"] = area if isinstance(area, NUMBER) and area > 0 else box[2] * box[3]
            annotation["iscrowd"] = crowd or 0
            report.completed += 1
        kept.append(annotation)
    coco["annotations"] = kept
    ids = [annotation.get("id", 0) for annotation in kept]
    if not all(type(value) is int and value for value in ids) or len(set(ids)) < len(ids):
        report.renumbered = True
        for number, annotation in enumerate(kept, start=1):
            annotation["id"] = number
    return report


def order_categories(coco: dict[str, Any], classes: Sequence[str], path: str | os.PathLike) -> bool:
    """Puts the categories in the order of ``classes``, in place, others after them.

    mmdet numbers labels by the order of the *file*; in this order label i is ``classes[i]``.

    Args:
        coco: dictionary as from :func:`read_coco`.
        classes: the class list of the configuration.
        path: named in the error.

    Returns:
        Whether the order was changed.

    Raises:
        UserError: a class has no category of its name.
    """
    names = [category["name"] for category in coco["categories"]]
    missing = [name for name in classes if name not in names]
    if missing:
        raise UserError(
            f"annotation file {path} has no category named {', '.join(map(repr, missing))}: "
            f"classes of the config {list(classes)}, categories of the file {names}; make them agree"
        )
    rank = {name: position for position, name in enumerate(classes)}
    coco["categories"].sort(key=lambda category: rank.get(category["name"], len(rank)))
    return [category["name"] for category in coco["categories"]] != names
