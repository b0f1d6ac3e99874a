"""The conveyor itself: slats, gaps, rivets, side rails and the floor beyond."""

from dataclasses import dataclass

import numpy as np

from ms2a.benchmark.indus_synth.canvas import Canvas
from ms2a.benchmark.indus_synth.noise import sample, textures
from ms2a.benchmark.indus_synth.portable import smoothstep

_SLATS = 64
# How far from a rail the belt is darkened by it, world units.
_JOINT = 22.0


@dataclass(frozen=True)
class Belt:
    """A conveyor.

    Attributes:
        pitch: width of a slat, world units.
        gap: width of the gap between slats.
        half_width: from the middle of the belt to its rails.
        shift: place of the first gap.
        colour: (3,) BGR reflectance of the slats for scattered light.
        gloss: reflectance for mirrored light.
        rough: blur of the mirror image.
        uneven: random tilt of slats against each other, as slope.
        crown: how much each slat is bent up along its middle, as slope at its edges.
        worn: strength of stains and scratches.
        ribs: number of pressed grooves along each slat.
        rivets: distance between rivets along a slat's edge, world units; 0 for none.
        rail: (3,) BGR reflectance of the side rails.
        floor: (3,) BGR reflectance of what lies beyond the rails.
    """

    pitch: float
    gap: float
    half_width: float
    shift: float
    colour: np.ndarray
    gloss: float
    rough: float
    uneven: float
    crown: float
    worn: float
    ribs: int
    rivets: float
    rail: np.ndarray
    floor: np.ndarray


def paint_belt(canvas: Canvas, belt: Belt, belt_xy: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> None:
    """Fills an empty canvas with a conveyor.

    Args:
        canvas: written in place.
        belt: the conveyor.
        belt_xy: world X and Y of every pixel, (H, W) float32 each.
        rng: draws wear and the slats' differences.
    """
    x, y = belt_xy
    phase = x / np.float32(belt.pitch) + np.float32(belt.shift)
    number = np.floor(phase)
    inside = phase - number
    slat = number.astype(np.int32) % _SLATS
    edge = np.minimum(inside, 1 - inside) * np.float32(belt.pitch)
    tone, slope_x, slope_y = _slats(belt, slat, inside, edge, y, rng)
    start = rng.uniform(100, 400, 2).astype(np.float32)
    wear = sample(textures().stains, x * np.float32(0.8) + start[0], y * np.float32(0.8) + start[1])
    # Parts slide along the belt and scratch it lengthwise.
    scratches = sample(textures().brushed, x * np.float32(0.7) + start[1], y * np.float32(0.4) + start[0])
    height, width = x.shape
    grain = textures().grain[int(start[0]) :, int(start[1]) :][:height, :width]
    tone *= np.maximum(
        1 + np.float32(belt.worn) * (wear * np.float32(0.8) + scratches * np.float32(0.5) + grain * 0.25), 0.1
    )
    slope_y += np.float32(0.05 * belt.worn) * scratches + np.float32(0.012) * wear
    slope_x += np.float32(0.012) * wear
    open_gap = smoothstep(edge, 0.3 * belt.gap, 0.7 * belt.gap)
    for i in range(3):
        canvas.colour[i] = tone * np.float32(belt.colour[i]) * (np.float32(0.06) + np.float32(0.94) * open_gap)
        canvas.gloss[i] = tone * np.float32(belt.gloss) * open_gap
    canvas.open *= np.float32(0.25) + np.float32(0.75) * smoothstep(edge, 0.2 * belt.gap, 1.6 * belt.gap)
    canvas.rough[:] = np.float32(belt.rough) * np.maximum(1 + np.float32(0.4) * wear, np.float32(0.3))
    _tilt(canvas, slope_x, slope_y)
    _surroundings(canvas, belt, belt_xy, rng)


def _slats(belt, slat, inside, edge, y, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Brightness and slopes along x and y of the slats."""
    tone = (1 + 0.09 * belt.worn / 0.2 * rng.standard_normal(_SLATS, dtype=np.float32))[slat]
    slope_x = (np.float32(belt.uneven) * rng.standard_normal(_SLATS, dtype=np.float32))[slat]
    slope_y = (np.float32(0.4 * belt.uneven) * rng.standard_normal(_SLATS, dtype=np.float32))[slat]
    centred = (inside - np.float32(0.5)) * 2
    slope_x += np.float32(belt.crown) * centred * centred * centred
    # The slats' edges are rolled over and catch the light.
    rolled = 1 - smoothstep(edge, 0.7 * belt.gap, 1.8 * belt.gap)
    slope_x += np.where(inside < 0.5, np.float32(-0.5), np.float32(0.5)) * rolled
    if belt.ribs:
        groove = inside * np.float32(belt.ribs)
        groove = (groove - np.floor(groove) - np.float32(0.5)) * 2
        slope_x += np.float32(0.22) * (np.abs(groove) > 0.75) * np.sign(groove)
        tone = tone * np.where(np.abs(groove) > 0.9, np.float32(0.82), np.float32(1))
    if belt.rivets:
        along = y / np.float32(belt.rivets)
        dy = (along - np.floor(along) - np.float32(0.5)) * np.float32(belt.rivets)
        dx = edge - np.float32(2.4 * belt.gap)
        near = (dx * dx + dy * dy) / np.float32(30.0)
        head = np.maximum(1 - near, 0)
        slope_y = slope_y + head * dy * np.float32(0.12)
        tone = tone * (1 - np.float32(0.35) * (np.abs(near - np.float32(1.1)) < 0.35))
    return tone.astype(np.float32), slope_x, slope_y


def _tilt(canvas: Canvas, slope_x: np.ndarray, slope_y: np.ndarray) -> None:
    length = np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    canvas.normal[0] = slope_x / length
    canvas.normal[1] = slope_y / length
    canvas.normal[2] = 1 / length


def _surroundings(canvas: Canvas, belt: Belt, belt_xy: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> None:
    """Paints rails and floor; the rows of the picture that show none are passed over."""
    start = rng.uniform(100, 600, 2).astype(np.float32)
    rail_width = np.float32(rng.uniform(28, 60))
    near = (np.abs(belt_xy[1]) > np.float32(belt.half_width - _JOINT)).any(axis=1)
    starts = np.flatnonzero(np.diff(near, prepend=False))
    for top, bottom in zip(starts[::2], [*starts[1::2], len(near)], strict=False):
        rows = slice(int(top), int(bottom))
        _rail_and_floor(canvas, belt, belt_xy[0][rows], belt_xy[1][rows], rows, rail_width, start)


def _rail_and_floor(
    canvas: Canvas, belt: Belt, x: np.ndarray, y: np.ndarray, rows: slice, rail_width: np.float32, start: np.ndarray
) -> None:
    beyond = np.abs(y) - np.float32(belt.half_width)
    on_rail, on_floor = beyond > 0, beyond > rail_width
    stains = sample(textures().stains, x * np.float32(0.25) + start[1], y * np.float32(0.25) + start[0])
    bolt = x / np.float32(90)
    bolt = (bolt - np.floor(bolt) - np.float32(0.5)) * 90
    away = beyond - rail_width / 2
    bolted = bolt * bolt + away * away < np.float32(36)
    rail = np.maximum(1 + np.float32(0.12) * stains, 0.2) * np.where(bolted, np.float32(0.4), np.float32(1))
    floor = np.maximum(np.float32(0.6) + np.float32(0.5) * stains, np.float32(0.05))
    for i in range(3):
        np.copyto(canvas.colour[i, rows], rail * np.float32(belt.rail[i]), where=on_rail)
        np.copyto(canvas.colour[i, rows], floor * np.float32(belt.floor[i]), where=on_floor)
        np.copyto(canvas.gloss[i, rows], np.where(on_floor, np.float32(0.03), np.float32(0.12)), where=on_rail)
    lip = np.clip(1 - beyond * np.float32(1 / 6), 0, 1)
    np.copyto(canvas.normal[0, rows], np.float32(0), where=on_rail)
    np.copyto(canvas.normal[1, rows], -np.sign(y) * np.float32(0.6) * lip, where=on_rail)
    np.copyto(canvas.normal[2, rows], 1 - np.float32(0.2) * lip, where=on_rail)
    np.copyto(canvas.rough[rows], np.float32(0.3), where=on_rail)
    # Rails stand above the belt and the floor lies below: both joints are dark.
    np.copyto(canvas.open[rows], np.float32(1), where=on_rail)
    canvas.open[rows] *= np.float32(0.35) + np.float32(0.65) * smoothstep(np.abs(beyond), 0, _JOINT)
    np.copyto(canvas.open[rows], np.float32(0.45), where=on_floor)
    np.copyto(canvas.lit[rows], np.float32(0.35), where=on_floor)
