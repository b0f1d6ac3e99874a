"""Which file each picture is, and pictures that are listed or stored twice."""

import posixpath
from collections import defaultdict
from itertools import combinations
from typing import Any

import numpy as np
from pycocotools import mask

from ms2a.datasets.check.boxes import is_box
from ms2a.datasets.check.working import Working

SAME = 0.01
"""Pixels by which boxes of two entries for one picture may differ and still be the same box."""
TWICE = 0.5
"""Overlap (IoU) from which on two boxes of one class, of different entries, are one object annotated twice."""


def merge_entries(data: Working) -> None:
    """Makes one entry of several for the same file.

    Entries with the same boxes become one; so do entries with boxes of different objects, as written by tools that list
    a picture for each of its boxes. Where boxes of one class from different entries overlap by half, the picture was
    annotated twice, and the set is refused; unless each entry has only one box.
    """
    groups = defaultdict(list)
    for image in data.coco["images"]:
        groups[posixpath.normpath(image["file_name"].replace("\\", "/"))].append(image)
    by_image, gone = data.by_image(), set()
    for name, entries in groups.items():
        if len(entries) == 1:
            continue
        boxes = [[item for item in by_image.get(image["id"], []) if is_box(item.get("bbox"))] for image in entries]
        merged = _distinct(boxes)
        if max(map(len, boxes)) > 1 and _annotated_twice(merged):
            remedy = "leave one entry for each picture"
            data.findings.add("error", "pictures annotated twice with different boxes", name, remedy)
            continue
        for annotation in (item for image in entries for item in by_image.get(image["id"], [])):
            annotation["image_id"] = entries[0]["id"]
        kept = {id(item) for item, _ in merged}
        gone |= {id(item) for own in boxes for item in own if id(item) not in kept}
        gone |= {id(image) for image in entries[1:]}
        data.findings.note("picture entries merged with another entry of the same file", name, count=len(entries) - 1)
        data.merged += len(entries) - 1
        data.changed = True
    for key in ("images", "annotations"):
        data.coco[key] = [item for item in data.coco[key] if id(item) not in gone]


def _distinct(boxes: list[list[dict[str, Any]]]) -> list[tuple[dict[str, Any], int]]:
    """The annotations of the entries, each with its entry's number, without those that an earlier entry has too."""
    kept: list[tuple[dict[str, Any], int]] = []
    for number, own in enumerate(boxes):
        earlier = [item for item, _ in kept]
        kept += [(item, number) for item in own if not any(_same(item, other) for other in earlier)]
    return kept


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one["category_id"] == other["category_id"] and np.allclose(one["bbox"], other["bbox"], rtol=0, atol=SAME)


def _annotated_twice(annotations: list[tuple[dict[str, Any], int]]) -> bool:
    return any(
        own != another and one["category_id"] == other["category_id"] and _overlap(one["bbox"], other["bbox"]) > TWICE
        for (one, own), (other, another) in combinations(annotations, 2)
    )


def _overlap(one_xywh: list[float], other_xywh: list[float]) -> float:
    """IoU of two boxes."""
    return float(mask.iou(np.array([one_xywh], float), np.array([other_xywh], float), [0])[0, 0])
