"""Test pictures for the page: small files, and boxes with what each of them is."""

import base64
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ms2a.analysis.error_analysis import KINDS, match_detections
from ms2a.datasets.load_picture import read_picture
from ms2a.errors import UserError

MAX_PICTURES = 200
PICTURE_BYTES = 7 * 2**20
"""Of all pictures of a page together, before base64 makes them a third larger."""
MAX_SIDE, MIN_SIDE = 720, 96
LOWEST_SCORE, MAX_BOXES = 0.05, 100
_QUALITY = 78


def choose_pictures(gains: Sequence[float], count: int = MAX_PICTURES) -> list[int]:
    """Which pictures of a test set are shown: all, or most of them evenly spaced and an eighth where most changed.

    Args:
        gains: of each picture, how much it changed, with its sign.
        count: how many at most.

    Returns:
        positions in rising order.
    """
    total = len(gains)
    if total <= count:
        return list(range(total))
    extreme = count // 16
    by_gain = np.argsort(np.asarray(gains), kind="stable")
    chosen = {int(index) for index in (*by_gain[:extreme], *by_gain[total - extreme :])}
    rest = [index for index in range(total) if index not in chosen]
    spaced = np.linspace(0, len(rest) - 1, count - len(chosen)).round().astype(int)
    return sorted(chosen | {rest[index] for index in spaced})


def describe_boxes(
    truth: Mapping[str, Any], detections: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """Boxes of every picture of a test set.

    Args:
        truth: mended annotations in COCO's form.
        detections: COCO results by the name of the run, e.g. before and after.

    Returns:
        for each picture ``truth``, rows of ``[x, y, width, height, class, ignored]`` in pixels, and ``runs``: for each
        name rows of ``[x, y, width, height, class, score, kind, found]``, by falling score, of scores from
        :data:`LOWEST_SCORE` on and at most :data:`MAX_BOXES`. ``kind`` is a position in
        :data:`~ms2a.analysis.error_analysis.KINDS` or -1 for one that finds an object, whose row in ``truth`` is
        ``found``. Classes are positions among the categories.
    """
    label_of = {category["id"]: label for label, category in enumerate(truth["categories"])}
    objects, row_of = defaultdict(list), {}
    for item in truth["annotations"]:
        row_of[item["id"]] = len(objects[item["image_id"]])
        label, ignored = label_of[item["category_id"]], int(bool(item.get("iscrowd")))
        objects[item["image_id"]].append([*_rounded(item["bbox"]), label, ignored])
    runs = {name: _rows(truth, found, label_of, row_of) for name, found in detections.items()}
    return [
        {"truth": objects[image["id"]], "runs": {name: rows[image["id"]] for name, rows in runs.items()}}
        for image in truth["images"]
    ]


def gain(boxes: Mapping[str, Any], before: str, after: str, score_thr: float) -> float:
    """By how much the F1 score of a picture's detections differs between two runs."""
    return _f1(boxes, after, score_thr) - _f1(boxes, before, score_thr)


def encode(image: np.ndarray, limit: int, max_side: int = MAX_SIDE) -> tuple[str, tuple[int, int]]:
    """A picture as a WebP of at most so many bytes, made smaller until it is.

    Args:
        image: (H, W, 3) or with opacity (H, W, 4), uint8, BGR.
        limit: bytes; not kept below a long side of 96 pixels.
        max_side: of the longer side, in pixels.

    Returns:
        the data address, and width and height in pixels.
    """
    scale = min(1.0, max_side / max(image.shape[:2]))
    while True:
        size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
        small = image if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        data = cv2.imencode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])[1].tobytes()
        if len(data) <= limit or max(size) <= MIN_SIDE:
            return f"data:image/webp;base64,{base64.b64encode(data).decode()}", (size[0], size[1])
        scale *= max(0.5, min(0.95, math.sqrt(limit / len(data))))


def encode_files(
    paths: Iterable[Path | str], count: int, bit_depth: int | None = None, budget: int = PICTURE_BYTES
) -> Iterable[dict[str, Any] | None]:
    """Pictures of files, which share a number of bytes; None for one that cannot be read.

    Args:
        paths: the files.
        count: how many there are.
        bit_depth: see :func:`ms2a.datasets.load_picture.read_picture`.
        budget: bytes of all.

    Yields:
        ``src``, the data address, and ``size``, width and height of the file's picture in pixels.
    """
    for path in paths:
        try:
            image = read_picture(path, bit_depth)
        except UserError:
            yield None
            continue
        yield {"src": encode(image, budget // max(count, 1))[0], "size": [image.shape[1], image.shape[0]]}


def _rows(
    truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    label_of: Mapping[int, int],
    row_of: Mapping[int, int],
) -> Mapping[Any, list[list[float]]]:
    """By image id, see :func:`describe_boxes`."""
    matched = match_detections(truth["annotations"], detections)
    numbers = {kind: number for number, kind in enumerate(KINDS)}
    rows = defaultdict(list)
    for item, (kind, annotation_id) in sorted(
        zip(detections, matched, strict=True), key=lambda pair: -pair[0]["score"]
    ):
        own = rows[item["image_id"]]
        if item["score"] >= LOWEST_SCORE and len(own) < MAX_BOXES:
            score, found = round(item["score"], 3), -1 if annotation_id is None else row_of[annotation_id]
            own.append([*_rounded(item["bbox"]), label_of[item["category_id"]], score, numbers.get(kind, -1), found])
    return rows


def _f1(boxes: Mapping[str, Any], run: str, score_thr: float) -> float:
    kinds = [row[6] for row in boxes["runs"][run] if row[5] >= score_thr]
    right, objects = kinds.count(-1), sum(not row[5] for row in boxes["truth"])
    return 2 * right / (len(kinds) + objects) if kinds or objects else 1.0


def _rounded(box: Sequence[float]) -> list[float]:
    return [round(float(value), 1) for value in box]
