"""Forms of a box, and the upright box around what annotation tools draw."""

import math
from collections.abc import Sequence
from typing import Any

NUMBER = int | float
Box = tuple[float, float, float, float]
LARGEST = 1e9
"""Pixels; a coordinate beyond is a mistake."""


def is_box(box: Any) -> bool:
    """Whether a value is a list of four finite numbers, none of them absurd."""
    # Written so that a NaN is refused as well; a comparison takes whole numbers of any size.
    return (
        isinstance(box, list | tuple)
        and len(box) == 4
        and all(isinstance(value, NUMBER) and abs(value) <= LARGEST for value in box)
    )


def as_xywh(box_xyxy: Sequence[float]) -> list[float]:
    """A box given by its left, top, right and lower edges as left, top, width and height, which is COCO's form."""
    x1, y1, x2, y2 = box_xyxy
    return [x1, y1, x2 - x1, y2 - y1]


def as_xyxy(box_xywh: Sequence[float]) -> list[float]:
    """The opposite of :func:`as_xywh`."""
    x, y, width, height = box_xywh
    return [x, y, x + width, y + height]


def box_of_points(points: Sequence[Sequence[float]]) -> Box:
    """The box around points (x, y): x1, y1, x2, y2."""
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    return min(xs), min(ys), max(xs), max(ys)


def ordered_box(box_xyxy: Sequence[float]) -> Box:
    """The box between two opposite corners, whichever comes first."""
    x1, y1, x2, y2 = box_xyxy
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def box_of_rotated_box(box_xyxy: Sequence[float], degrees: float) -> Box:
    """The box around one that is turned about its own centre; the direction does not matter."""
    x1, y1, x2, y2 = box_xyxy
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    width, height = abs(x2 - x1), abs(y2 - y1)
    half_width, half_height = (width * cos + height * sin) / 2, (width * sin + height * cos) / 2
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return x - half_width, y - half_height, x + half_width, y + half_height


def box_of_ellipse(centre_xy: Sequence[float], radii_xy: Sequence[float], degrees: float = 0.0) -> Box:
    """The box around an ellipse that is turned clockwise about its centre: x1, y1, x2, y2."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_width = math.hypot(radii_xy[0] * cos, radii_xy[1] * sin)
    half_height = math.hypot(radii_xy[0] * sin, radii_xy[1] * cos)
    x, y = centre_xy
    return x - half_width, y - half_height, x + half_width, y + half_height
