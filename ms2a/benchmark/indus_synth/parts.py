"""Sheet-metal parts: flat facets in space, cut, punched and bent like the things on a press shop's conveyor."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ms2a.benchmark.indus_synth import shapes


@dataclass(frozen=True)
class Facet:
    """One flat piece of a part.

    Attributes:
        origin: (3,) where its plane coordinates are zero, world units.
        u: (3,) unit vector of the first plane coordinate, the direction of brushing.
        v: (3,) unit vector of the second.
        rings: closed polygons (N, 2) in plane coordinates; the outline, then the holes.
    """

    origin: np.ndarray
    u: np.ndarray
    v: np.ndarray
    rings: list[np.ndarray]

    @property
    def normal(self) -> np.ndarray:
        """(3,) unit vector across the facet."""
        (a, b, c), (d, e, f) = self.u.tolist(), self.v.tolist()
        return np.array([b * f - c * e, c * d - a * f, a * e - b * d])

    def points(self) -> list[np.ndarray]:
        """The rings in space, each (N, 3)."""
        return [self.origin + ring[:, :1] * self.u + ring[:, 1:] * self.v for ring in self.rings]

    def moved(self, rotation: np.ndarray, shift: np.ndarray) -> "Facet":
        """The facet after a rotation (3, 3) about the world's origin and then a shift (3,)."""
        return replace(self, origin=rotation @ self.origin + shift, u=rotation @ self.u, v=rotation @ self.v)


Part = list[Facet]


def flat(rings: list[np.ndarray]) -> Part:
    """A part that lies flat on the belt, centred on the origin."""
    middle = (rings[0].min(axis=0) + rings[0].max(axis=0)) / 2
    rings = [ring - middle for ring in rings]
    return [Facet(np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), rings)]


def folded(
    rng: np.random.Generator, lengths: np.ndarray, turns: np.ndarray, width: float, punched: bool = True
) -> Part:
    """A strip folded across its length, resting on the belt in one of its stable positions.

    Args:
        rng: chooses ends, holes and the position.
        lengths: (N,) length of each straight piece.
        turns: (N - 1,) angle of the fold after each piece but the last, radians.
        width: width of the strip.
        punched: gives the pieces holes.
    """
    headings = np.concatenate([[0.0], np.cumsum(turns)])
    steps = np.stack([np.cos(headings), np.sin(headings)], axis=1) * lengths[:, None]
    corners = np.concatenate([[[0.0, 0.0]], np.cumsum(steps, axis=0)])
    middles = (corners[:-1] + corners[1:]) / 2
    centre = (middles * lengths[:, None]).sum(axis=0) / lengths.sum()
    angle, ground = _resting_position(rng, corners, centre)
    c, s = math.cos(angle), math.sin(angle)
    corners = (corners - centre) @ np.array([[c, s], [-s, c]])
    taper = rng.uniform(0.0, 0.3) if rng.random() < 0.3 else 0.0
    facets = []
    for i, length in enumerate(lengths):
        direction = (corners[i + 1] - corners[i]) / length
        outline = shapes.rectangle(length, width)
        if i == len(lengths) - 1:
            outline[1:3, 1] += np.array([1.0, -1.0]) * taper * width
        cut = shapes.holes(rng, length, width) if punched and not taper else []
        origin = np.array([corners[i][0], -width / 2, corners[i][1] - ground])
        facets.append(
            Facet(origin, np.array([direction[0], 0.0, direction[1]]), np.array([0, 1.0, 0]), [outline, *cut])
        )
    return facets


def _resting_position(rng: np.random.Generator, corners: np.ndarray, centre: np.ndarray) -> tuple[float, float]:
    """A rotation that lays a profile on an edge of its convex hull below its centre of mass, and the ground then."""
    hull = cv2.convexHull(corners.astype(np.float32))[:, 0].astype(float) - centre
    stable = []
    for a, b in zip(hull, np.roll(hull, -1, axis=0), strict=True):
        edge = b - a
        along = -float(edge @ a) / max(float(edge @ edge), 1e-9)
        if 0.1 < along < 0.9:
            angle = -math.atan2(edge[1], edge[0])
            above = math.sin(angle) * a[0] + math.cos(angle) * a[1] > 0
            stable.append(angle + math.pi * above)
    angle = stable[rng.integers(len(stable))] if stable else 0.0
    heights = (corners - centre) @ np.array([math.sin(angle), math.cos(angle)])
    return angle, float(heights.min())


def bracket(rng: np.random.Generator, size: float) -> Part:
    """An L: two pieces at about a right angle."""
    lengths = size * np.array([rng.uniform(0.35, 0.75), rng.uniform(0.2, 0.55)])
    return folded(rng, lengths, np.array([rng.uniform(1.2, 1.75)]), size * rng.uniform(0.35, 1.0))


def channel(rng: np.random.Generator, size: float) -> Part:
    """A U or a hat: a strip folded two or four times."""
    side, base = size * rng.uniform(0.14, 0.35), size * rng.uniform(0.25, 0.6)
    turn = rng.uniform(1.25, 1.62)
    width = size * rng.uniform(0.45, 1.1)
    if rng.random() < 0.5:
        return folded(rng, np.array([side, base, side]), np.array([turn, turn]), width)
    brim = size * rng.uniform(0.12, 0.25)
    return folded(rng, np.array([brim, side, base, side, brim]), np.array([turn, -turn, -turn, turn]), width)


def bent_strip(rng: np.random.Generator, size: float) -> Part:
    """A narrow strip with several folds, or rolled into an arc."""
    width = size * rng.uniform(0.12, 0.3)
    if rng.random() < 0.5:
        count = int(rng.integers(3, 6))
        return folded(rng, size * rng.uniform(0.18, 0.42, count), rng.uniform(-1.3, 1.3, count - 1), width)
    count = 8
    turn = rng.uniform(0.12, 0.34) * rng.choice([-1, 1])
    return folded(rng, np.full(count, size * rng.uniform(0.1, 0.14)), np.full(count - 1, turn), width, punched=False)


def plate(rng: np.random.Generator, size: float) -> Part:
    """A flat plate with holes."""
    length, width = size * rng.uniform(0.6, 1.0), size * rng.uniform(0.3, 0.75)
    outline = shapes.rectangle(length, width, size * rng.choice([0.0, 0.05, 0.12]), rng.random() < 0.5)
    return flat([outline, *shapes.holes(rng, length, width)])


def long_plate(rng: np.random.Generator, size: float) -> Part:
    """A long narrow plate, flat or with a low flange along it."""
    length, width = size * rng.uniform(1.5, 3.2), size * rng.uniform(0.2, 0.42)
    if rng.random() < 0.4:
        flange = width * rng.uniform(0.3, 0.6)
        return [_turned(f) for f in folded(rng, np.array([width, flange]), np.array([rng.uniform(0.9, 1.5)]), length)]
    outline = shapes.rectangle(length, width, width * rng.choice([0.0, 0.15, 0.45]), rng.random() < 0.5)
    if rng.random() < 0.3:
        outline[:, 0] += np.where(outline[:, 0] > length / 2, outline[:, 1] * rng.uniform(-0.8, 0.8), 0.0)
    return flat([outline, *shapes.holes(rng, length, width)])


def _turned(facet: Facet) -> Facet:
    """A quarter turn about the vertical."""
    return facet.moved(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.zeros(3))


def ring(rng: np.random.Generator, size: float) -> Part:
    """A disc or ring with a circle of bolt holes."""
    outer = size * rng.uniform(0.28, 0.5)
    inner = outer * rng.uniform(0.25, 0.7)
    count = int(rng.choice([0, 3, 4, 6, 8]))
    bolts = [
        shapes.circle(
            ((inner + outer) / 2 * math.cos(a), (inner + outer) / 2 * math.sin(a)), (outer - inner) * 0.16, 12
        )
        for a in np.arange(count) * (2 * math.pi / max(count, 1))
    ]
    return flat([shapes.circle((0, 0), outer, 40), shapes.circle((0, 0), inner, 30), *bolts])


def fan(rng: np.random.Generator, size: float) -> Part:
    """A rotor of pitched blades around a hub, or a fan-shaped plate with slots."""
    if rng.random() < 0.45:
        inner, outer = size * rng.uniform(0.15, 0.35), size * rng.uniform(0.6, 0.95)
        angle = rng.uniform(0.7, 2.2)
        count = int(rng.integers(0, 6))
        middle, tall = (inner + outer) / 2, (outer - inner) * 0.55
        slots = []
        for a in (np.arange(count) + 0.5) / max(count, 1) * angle - angle / 2:
            c, s = math.cos(a), math.sin(a)
            straight = shapes.slot((middle, 0), tall, min(0.1 * tall, 0.3 * angle * inner / max(count, 1)) + 3)
            slots.append(straight @ np.array([[c, s], [-s, c]]))
        return flat([shapes.sector(inner, outer, angle), *slots])
    radius, count, pitch = size * rng.uniform(0.3, 0.5), int(rng.integers(4, 9)), rng.uniform(0.25, 0.7)
    blade = shapes.sector(radius * 0.25, radius, 2 * math.pi / count * rng.uniform(0.5, 0.85))
    height = radius * 0.35 * math.sin(pitch)
    facets = []
    for a in np.arange(count) * (2 * math.pi / count):
        u = np.array([math.cos(a), math.sin(a), 0.0])
        v = np.array([-math.sin(a) * math.cos(pitch), math.cos(a) * math.cos(pitch), math.sin(pitch)])
        facets.append(Facet(np.array([0.0, 0.0, height]), u, v, [blade]))
    hub = flat([shapes.circle((0, 0), radius * 0.32), shapes.circle((0, 0), radius * 0.1, 12)])[0]
    return [*facets, replace(hub, origin=np.array([0.0, 0.0, height + radius * 0.05]))]


def cutout(rng: np.random.Generator, size: float) -> Part:
    """An irregular blank, sometimes with a piece stamped out of it."""
    length, width = size * rng.uniform(0.6, 1.0), size * rng.uniform(0.4, 0.9)
    outline = shapes.irregular(rng, length, width)
    if rng.random() < 0.55:
        inside = shapes.irregular(rng, length, width)
        scale = rng.uniform(0.25, 0.45)
        return flat([outline, (inside - (length / 2, width / 2)) * scale + (length / 2, width / 2)])
    return flat([outline])


def toothed(rng: np.random.Generator, size: float) -> Part:
    """A comb: a strip with teeth."""
    length, width = size * rng.uniform(0.7, 1.1), size * rng.uniform(0.25, 0.5)
    return flat([shapes.comb(length, width, int(rng.integers(3, 7)), width * rng.uniform(0.4, 0.7))])


def gusset(rng: np.random.Generator, size: float) -> Part:
    """A triangular web with an upright flange along one side."""
    length, depth = size * rng.uniform(0.5, 0.85), size * rng.uniform(0.4, 0.7)
    web = flat([np.array([[0, 0], [length, 0], [length * 0.25, depth], [0, depth]])])[0]
    height = size * rng.uniform(0.12, 0.3)
    start = web.origin + np.array([*web.rings[0][0], 0.0])
    upright = Facet(start, np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), [shapes.rectangle(length, height)])
    return [web, upright]


def tray(rng: np.random.Generator, size: float) -> Part:
    """A shallow pan, the right way up or upside down."""
    length, width, depth = size * rng.uniform(0.5, 0.85), size * rng.uniform(0.35, 0.6), size * rng.uniform(0.08, 0.18)
    base = flat([shapes.rectangle(length, width), *(shapes.holes(rng, length, width) if rng.random() < 0.5 else [])])[0]
    lean = rng.uniform(0.05, 0.7)
    upside_down = rng.random() < 0.5
    rise = -math.cos(lean) if upside_down else math.cos(lean)
    facets = [replace(base, origin=np.array([0, 0, depth * math.cos(lean) if upside_down else 0.0]))]
    sides = ((length, width, 0), (width, length, 1), (length, width, 2), (width, length, 3))
    for along, across, quarter in sides:
        c, s = (1, 0, -1, 0)[quarter], (0, 1, 0, -1)[quarter]
        rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], float)
        wall = [shapes.rectangle(along, depth)]
        start = np.array([-along / 2, -across / 2, 0.0])
        facet = Facet(start, np.array([1.0, 0, 0]), np.array([0.0, -math.sin(lean), rise]), wall)
        facets.append(facet.moved(rotation, facets[0].origin))
    return facets


KINDS: dict[str, Callable[[np.random.Generator, float], Part]] = {
    "bracket": bracket,
    "channel": channel,
    "bent_strip": bent_strip,
    "plate": plate,
    "long_plate": long_plate,
    "ring": ring,
    "fan": fan,
    "cutout": cutout,
    "toothed": toothed,
    "gusset": gusset,
    "tray": tray,
}
