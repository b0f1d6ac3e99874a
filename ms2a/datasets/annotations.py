"""COCO annotation files as plain dictionaries: reading them with clear errors, mending what can be mended."""

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ms2a.artefacts import read_json
from ms2a.datasets.boxes import NUMBER, as_xywh, as_xyxy, is_box
from ms2a.datasets.findings import Findings
from ms2a.errors import UserError, shortened

MIN_BOX_SIDE = 1.0
"""Shortest side, in pixels, of a box that counts; mmdet ignores shorter ones in training too."""

REPEATED = "repeated_entries"
"""Key of a read COCO dictionary: how many entries of pictures and categories said the same once more and are gone."""

ID = int | float | str
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
        The parsed dictionary with lists under ``images``, ``annotations`` and ``categories``, each entry of a picture
        or category once, and the number of those that are gone under :data:`REPEATED`.

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
    entries = len(coco["images"]) + len(coco["categories"])
    for key, what in (("images", "image"), ("categories", "category")):
        coco[key] = _listed_once(coco[key], what, path)
    if repeated := entries - len(coco["images"]) - len(coco["categories"]):
        coco[REPEATED] = repeated
    names = Counter(category["name"] for category in coco["categories"])
    if twice := [name for name, count in names.items() if count > 1]:
        raise UserError(f"annotation file {path}: category name {twice[0]!r} appears more than once; make it unique")
    for what, values in (
        ("image id", [image["id"] for image in coco["images"]]),
        ("category id", [category["id"] for category in coco["categories"]]),
    ):
        texts = [value for value in values if isinstance(value, str)]
        if 0 < len(texts) < len(values):  # COCO evaluation sorts them
            number = next(value for value in values if not isinstance(value, str))
            raise UserError(
                f"annotation file {path}: some {what}s are texts ({texts[0]!r}), some are numbers ({number}); "
                "write all in one way"
            )
        if odd := [value for value in values if isinstance(value, float) and not math.isfinite(value)]:
            raise UserError(f"annotation file {path}: one {what} is {odd[0]}; give each a number of its own")
    return coco


def _listed_once(entries: Sequence[dict[str, Any]], what: str, path: str | os.PathLike) -> list[dict[str, Any]]:
    """The entries without those that say the same once more, as of tools that list a picture for each of its boxes."""
    by_id: dict[Any, dict[str, Any]] = {}
    for entry in entries:
        if (first := by_id.setdefault(entry["id"], entry)) != entry:
            raise UserError(
                f"annotation file {path}: {what} id {entry['id']!r} appears more than once, for {shortened(first)} and "
                f"{shortened(entry)}; make it unique"
            )
    return list(by_id.values())


def _require(entries: Sequence[Any], kinds: Mapping[str, Any], what: str, path: str | os.PathLike) -> None:
    for position, entry in enumerate(entries):
        for key, kind in kinds.items():
            if not isinstance(entry, dict) or key not in entry:
                raise UserError(f"annotation file {path}: {what} number {position} lacks '{key}'")
            value = entry[key]
            if not isinstance(value, kind) or (kind is NUMBER and not 0 < value < math.inf):
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
    if not is_box(box_xywh):
        return None
    x1, y1, x2, y2 = as_xyxy(box_xywh)
    x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, size_wh[0]), min(y2, size_wh[1])
    if x2 - x1 < MIN_BOX_SIDE or y2 - y1 < MIN_BOX_SIDE:
        return None
    return as_xywh((x1, y1, x2, y2))


class Mended(NamedTuple):
    """What :func:`mend_annotations` did: boxes that are gone, boxes that were cut, and whether anything changed."""

    dropped: int
    clipped: int
    changed: bool


def mend_annotations(coco: dict[str, Any], findings: Findings) -> Mended:
    """Makes annotations fit for mmdet and COCO evaluation, in place.

    Boxes are clipped to their image; empty ones, and those of images or categories that are not listed, are dropped;
    ``area`` and ``iscrowd``, which box-only files may lack, are filled in; missing, repeated, zero or text ids are
    renumbered (COCO evaluation takes id 0 for "unmatched", and keeps ids in arrays of numbers).

    Args:
        coco: dictionary as from :func:`read_coco`.
        findings: is told of boxes dropped or clipped, and of new ids (completing is no one's mistake).

    Returns:
        Counts of what was changed.
    """
    images = {image["id"]: image for image in coco["images"]}
    known, kept, clipped, changed = {category["id"] for category in coco["categories"]}, [], 0, False
    for annotation in coco["annotations"]:
        image, bbox = images.get(annotation["image_id"]), annotation.get("bbox")
        box = clip_box(bbox, (image["width"], image["height"])) if image else None
        if why := _why_dropped(annotation, known, image, box):
            findings.warn(f"boxes dropped: {why[0]}", why[1])
            continue
        kept.append(annotation)
        if box != list(bbox):
            changed = True
            annotation["bbox"] = box
            # A rounding error of a hundredth of a pixel is put right without a word.
            if max(abs(new - old) for new, old in zip(box, bbox, strict=True)) > 0.01:
                clipped += 1
                findings.warn("boxes clipped to their picture", f"{list(bbox)} of {image.get('file_name')}")
        area, crowd = annotation.get("area"), annotation.get("iscrowd")
        if not isinstance(area, NUMBER) or not area > 0 or crowd is None:
            changed = True
            annotation["area"] = area if isinstance(area, NUMBER) and area > 0 else box[2] * box[3]
            annotation["iscrowd"] = crowd or 0
    dropped = len(coco["annotations"]) - len(kept)
    coco["annotations"] = kept
    ids = [annotation.get("id", 0) for annotation in kept]
    if not all(type(value) is int and value for value in ids) or len(set(ids)) < len(ids):
        changed = True
        findings.note("annotation ids renumbered: missing, texts, zeros or repeated", count=len(kept))
        for number, annotation in enumerate(kept, start=1):
            annotation["id"] = number
    return Mended(dropped, clipped, changed or dropped > 0)


def _why_dropped(annotation: Mapping[str, Any], known: set, image: Mapping | None, box: Any) -> tuple[str, str] | None:
    """Why a box counts for nothing, and what shows it; None if it counts."""
    if annotation["category_id"] not in known:
        return "of a category that is not listed", f"category_id {annotation['category_id']!r}"
    if image is None:
        return "of a picture that is not listed", f"image_id {annotation['image_id']!r}"
    if box is None:
        example = f"{annotation.get('bbox')} of {image.get('file_name')}"
        return "outside their picture, malformed or under one pixel", example
    return None


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
