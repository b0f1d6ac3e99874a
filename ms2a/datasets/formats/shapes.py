"""The upright box around the shapes that annotation tools draw. Boxes are x1, y1, x2, y2 in pixels from 0."""

import math
from collections.abc import Sequence

Box = tuple[float, float, float, float]


def box_of_points(points: Sequence[Sequence[float]]) -> Box:
    """The box around points (x, y)."""
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    return min(xs), min(ys), max(xs), max(ys)


def box_of_rotated_box(box_xyxy: Box, degrees: float) -> Box:
    """The box around one that is turned about its own centre; the direction does not matter."""
    x1, y1, x2, y2 = box_xyxy
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    width, height = abs(x2 - x1), abs(y2 - y1)
    half_width, half_height = (width * cos + height * sin) / 2, (width * sin + height * cos) / 2
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return x - half_width, y - half_height, x + half_width, y + half_height


def box_of_ellipse(centre_xy: Sequence[float], radii_xy: Sequence[float], degrees: float = 0.0) -> Box:
    """The box around an ellipse that is turned clockwise about its centre."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_width = math.hypot(radii_xy[0] * cos, radii_xy[1] * sin)
    half_height = math.hypot(radii_xy[0] * sin, radii_xy[1] * cos)
    x, y = centre_xy
    return x - half_width, y - half_height, x + half_width, y + half_height
