"""Pictures that are listed twice, and boxes that stand twice in one picture."""

import posixpath
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from pycocotools import mask

from ms2a.datasets.boxes import is_box
from ms2a.datasets.check.working import Working

SAME = 0.01
"""Pixels by which two boxes may differ and still be the same box."""
TWICE = 0.5
"""Overlap (IoU) from which on two boxes of one class, of different entries, may be one object annotated twice."""
NEARLY_ALL = 0.75
"""Share of boxes that overlap so from which on entries of one box each are one picture annotated several times, not one
entry for each object."""


class _Entries:
    """All entries for one file, with their boxes.

    Attributes:
        images: the entries.
        items: their annotations with a box.
        kept: of those, the ones that no earlier one repeats.
        overlapping: how many of the kept overlap one of another entry by :data:`TWICE`.
        largest: the most boxes of an entry.
    """

    def __init__(self, images: list[dict[str, Any]], boxes: list[list[dict[str, Any]]]) -> None:
        self.images = images
        self.items = [item for own in boxes for item in own]
        self.largest = max(map(len, boxes))
        if not self.items or (len(images) == 1 and len(set(map(_key, self.items))) == len(self.items)):
            self.kept, self.overlapping = self.items, 0  # as nearly always
            return
        entry = np.repeat(np.arange(len(boxes)), [len(own) for own in boxes])
        labels = np.array([f"{item['category_id']} {bool(item.get('iscrowd'))}" for item in self.items])
        box_xywh = np.array([item["bbox"] for item in self.items], float)
        alike = labels[:, None] == labels
        same = alike.copy()
        for side in box_xywh.T:
            same &= np.abs(side[:, None] - side) <= SAME
        kept = ~np.tril(same, -1).any(axis=1)
        self.kept = [item for item, own in zip(self.items, kept, strict=True) if own]
        overlap = mask.iou(box_xywh, box_xywh, [0] * len(box_xywh)) > TWICE
        overlap &= alike & (entry[:, None] != entry) & kept[:, None] & kept
        self.overlapping = int(overlap.any(axis=1).sum())


def _key(item: dict[str, Any]) -> tuple:
    return (item["category_id"], bool(item.get("iscrowd")), *(round(value, 2) for value in item["bbox"]))


def merge_entries(data: Working) -> None:
    """Makes one entry of several for the same file, and tells of boxes that stand twice in one entry.

    Entries with the same boxes become one; so do entries with boxes of different objects, as written by tools that list
    a picture for each of its boxes. Where boxes of one class from different entries overlap by half, the picture was
    annotated twice, and the set is refused; unless all entries have a single box each and most of these overlap no
    other, as objects in a heap do.
    """
    groups = defaultdict(list)
    for image in data.coco["images"]:
        groups[posixpath.normpath(image["file_name"].replace("\\", "/"))].append(image)
    by_image, gone = data.by_image(), set()
    entries_of = {
        name: _Entries(
            images, [[item for item in by_image[image["id"]] if is_box(item.get("bbox"))] for image in images]
        )
        for name, images in groups.items()
    }
    one_each = _one_entry_for_each_box(entries_of.values())
    for name, entries in entries_of.items():
        if entries.overlapping and not one_each:
            remedy = "leave one entry for each picture"
            data.findings.add("error", "pictures annotated twice with different boxes", name, remedy)
            continue
        kept, others = {id(item) for item in entries.kept}, entries.images[1:]
        again = [item for item in entries.items if id(item) not in kept]
        if not others:  # the file means what it says, or its writer erred
            remedy = "each counts as an object; leave one of each"
            data.findings.warn("boxes that repeat another one of their picture", name, remedy, len(again))
            continue
        for annotation in (item for image in others for item in by_image[image["id"]]):
            annotation["image_id"] = entries.images[0]["id"]
        gone |= {id(item) for item in (*again, *others)}
        data.findings.note("picture entries merged with another entry of the same file", name, count=len(others))
        data.merged += len(others)
    data.changed |= bool(gone)
    for key in ("images", "annotations"):
        data.coco[key] = [item for item in data.coco[key] if id(item) not in gone]


def _one_entry_for_each_box(entries: Iterable[_Entries]) -> bool:
    """Whether the set lists a picture anew for each of its boxes."""
    several = [own for own in entries if len(own.images) > 1]
    boxes, overlapping = sum(len(own.kept) for own in several), sum(own.overlapping for own in several)
    return all(own.largest <= 1 for own in several) and overlapping < NEARLY_ALL * boxes
