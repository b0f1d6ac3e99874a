"""Flat outlines and holes of sheet metal, as closed polygons (N, 2) in world units."""

import math

import numpy as np

Ring = np.ndarray


def circle(centre: tuple[float, float], radius: float, corners: int = 20) -> Ring:
    """A circle as a regular polygon."""
    return arc(centre, radius, 0.0, 2 * math.pi * (1 - 1 / corners), corners)


def arc(centre: tuple[float, float], radius: float, start: float, end: float, corners: int) -> Ring:
    """Points on a circle from angle ``start`` to ``end``, radians."""
    angles = np.linspace(start, end, corners)
    return np.stack([centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)], axis=1)


def rectangle(length: float, width: float, corner: float = 0.0, rounded: bool = False) -> Ring:
    """A rectangle from (0, 0) to (length, width).

    Args:
        length: extent along the first axis.
        width: extent along the second axis.
        corner: how far from each corner its chamfer or rounding begins; 0 keeps it sharp.
        rounded: rounds the corners instead of cutting them.
    """
    corner = min(corner, 0.49 * length, 0.49 * width)
    if corner <= 0:
        return np.array([[0, 0], [length, 0], [length, width], [0, width]], float)
    points = 5 if rounded else 2
    corners = ((length - corner, width - corner), (corner, width - corner), (corner, corner), (length - corner, corner))
    arcs = [arc(c, corner, i * math.pi / 2, (i + 1) * math.pi / 2, points) for i, c in enumerate(corners)]
    return np.concatenate(arcs)


def slot(centre: tuple[float, float], length: float, width: float, upright: bool = False) -> Ring:
    """A long hole with round ends."""
    ring = rectangle(length, width, width / 2, rounded=True) - (length / 2, width / 2)
    return (ring[:, ::-1] if upright else ring) + centre


def sector(inner: float, outer: float, angle: float) -> Ring:
    """A piece of an annulus that opens by ``angle`` radians to both sides of the first axis together."""
    corners = max(int(angle / 0.18), 4)
    far = arc((0, 0), outer, -angle / 2, angle / 2, corners)
    near = arc((0, 0), inner, angle / 2, -angle / 2, corners)
    return np.concatenate([far, near])


def irregular(rng: np.random.Generator, length: float, width: float) -> Ring:
    """A random star-shaped outline, straight-edged or smooth, that fills about (0, 0) to (length, width)."""
    corners = int(rng.integers(5, 10))
    angles = (np.arange(corners) + rng.uniform(-0.32, 0.32, corners)) * (2 * math.pi / corners)
    radii = rng.uniform(0.55, 1.0, corners)
    ring = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    for _ in range(int(rng.choice([0, 0, 2, 3]))):
        ring = round_off(ring)
    return (ring + 1) * (length / 2, width / 2)


def round_off(ring: Ring) -> Ring:
    """Cuts every corner once (Chaikin 1974)."""
    following = np.roll(ring, -1, axis=0)
    return np.stack([0.75 * ring + 0.25 * following, 0.25 * ring + 0.75 * following], axis=1).reshape(-1, 2)


def comb(length: float, width: float, teeth: int, depth: float) -> Ring:
    """A rectangle with teeth along one long side."""
    step = length / (2 * teeth - 1)
    points = [(0.0, 0.0), (length, 0.0)]
    for i in range(teeth):
        right = length - 2 * i * step
        points += [(right, width), (right - step, width)]
        if i < teeth - 1:
            points += [(right - step, width - depth), (right - 2 * step, width - depth)]
    return np.array(points)


def holes(rng: np.random.Generator, length: float, width: float) -> list[Ring]:
    """A random pattern of holes for a rectangle from (0, 0) to (length, width); often none."""
    short = min(length, width)
    if short < 14:
        return []
    patterns = (_no_holes, _corner_holes, _row_of_holes, _row_of_slots, _window, _grid_of_holes)
    return patterns[rng.choice(len(patterns), p=[0.16, 0.2, 0.2, 0.14, 0.16, 0.14])](rng, length, width, short)


def _no_holes(rng: np.random.Generator, length: float, width: float, short: float) -> list[Ring]:
    return []


def _corner_holes(rng: np.random.Generator, length: float, width: float, short: float) -> list[Ring]:
    radius = short * rng.uniform(0.06, 0.13)
    margin = radius + short * rng.uniform(0.06, 0.16)
    rings = [circle((x, y), radius, 14) for x in (margin, length - margin) for y in (margin, width - margin)]
    if rng.random() < 0.5:
        rings.append(circle((length / 2, width / 2), short * rng.uniform(0.12, 0.28)))
    return rings


def _row_of_holes(rng: np.random.Generator, length: float, width: float, short: float) -> list[Ring]:
    count = int(rng.integers(2, 6))
    radius = min(short * rng.uniform(0.12, 0.26), 0.38 * max(length, width) / count)
    places = (np.arange(count) + 0.5) / count
    if length >= width:
        return [circle((length * p, width / 2), radius, 16) for p in places]
    return [circle((length / 2, width * p), radius, 16) for p in places]


def _row_of_slots(rng: np.random.Generator, length: float, width: float, short: float) -> list[Ring]:
    count = int(rng.integers(2, 7))
    places = (np.arange(count) + 0.5) / count
    thick = min(short * 0.2, 0.4 * length / count)
    tall = width * rng.uniform(0.45, 0.7)
    return [slot((length * p, width / 2), max(tall, thick), thick, upright=True) for p in places]


def _window(rng: np.random.Generator, length: float, width: float, short: float) -> list[Ring]:
    margin = short * rng.uniform(0.16, 0.28)
    ring = rectangle(length - 2 * margin, width - 2 * margin, short * rng.uniform(0, 0.2), rng.random() < 0.6)
    return [ring + margin]


def _grid_of_holes(rng: np.random.Generator, length: float, width: float, short: float) -> list[Ring]:
    rows = int(rng.integers(2, 4))
    step = width / rows
    columns = int(np.clip(length / step, 2, 9))
    radius = min(step, length / columns) * rng.uniform(0.22, 0.34)
    return [
        circle((length * (i + 0.5) / columns, width * (j + 0.5) / rows), radius, 12)
        for i in range(columns)
        for j in range(rows)
    ]
