"""Forms of a box."""

from collections.abc import Sequence


def as_xywh(box_xyxy: Sequence[float]) -> list[float]:
    """A box given by its left, top, right and lower edges as left, top, width and height, which is COCO's form."""
    x1, y1, x2, y2 = box_xyxy
    return [x1, y1, x2 - x1, y2 - y1]


def as_xyxy(box_xywh: Sequence[float]) -> list[float]:
    """The opposite of :func:`as_xywh`."""
    x, y, width, height = box_xywh
    return [x, y, x + width, y + height]
