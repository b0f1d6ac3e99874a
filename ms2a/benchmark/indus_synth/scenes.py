"""Draws one scene of a factory and photographs it; domains go by the names of their folders, s, t1 and t2."""

import math
from dataclasses import dataclass

import numpy as np

from ms2a.benchmark.indus_synth.belt import Belt, paint_belt
from ms2a.benchmark.indus_synth.camera import Camera, look_at
from ms2a.benchmark.indus_synth.canvas import Canvas, Material
from ms2a.benchmark.indus_synth.light import Lamp, Lighting, shade
from ms2a.benchmark.indus_synth.parts import KINDS, Part
from ms2a.benchmark.indus_synth.photograph import Shot, develop
from ms2a.benchmark.indus_synth.portable import baseline_opencv
from ms2a.benchmark.indus_synth.styles import STYLES, Range, Style

IMAGE_HW = (128, 320)
SCALE = 2
MIN_VISIBLE_SHARE = 0.2
MIN_VISIBLE_AREA = 40.0
_DOMAINS = {"s": 0, "t1": 1, "t2": 2}
_SPLITS = {"train": 0, "val": 1, "test": 2, "pool": 3, "unlabelled": 4}


@dataclass(frozen=True)
class Scene:
    """A photograph and what is on it.

    Attributes:
        image: (128, 320, 3) uint8, BGR.
        boxes_xyxy: (N, 4) float64, visible extent of every part, pixels.
    """

    image: np.ndarray
    boxes_xyxy: np.ndarray


def render_scene(domain: str, split: str, index: int, seed: int = 0) -> Scene:
    """One scene; the same arguments give the same pixels.

    Args:
        domain: ``"s"``, ``"t1"`` or ``"t2"``.
        split: ``"train"``, ``"val"``, ``"test"``, ``"pool"`` or ``"unlabelled"``.
        index: number of the image within the split.
        seed: of the whole benchmark.
    """
    rng = np.random.default_rng([seed, _DOMAINS[domain], _SPLITS[split], index])
    with baseline_opencv():
        return _render(STYLES[domain], rng)


def _render(style: Style, rng: np.random.Generator) -> Scene:
    camera = _draw_camera(style, rng)
    canvas = Canvas(camera)
    rays = camera.rays()
    belt_xy = camera.belt_points(rays)
    belt = _draw_belt(style, rng)
    paint_belt(canvas, belt, belt_xy, rng)
    lighting = _draw_lighting(style, camera, rng)
    _place_parts(canvas, style, belt, lighting, rng)
    light = shade(canvas, lighting, rays, belt_xy)
    image = develop(light, _draw_shot(style, rng), SCALE, rng)
    return Scene(image, visible_boxes(canvas))


def _between(rng: np.random.Generator, limits: Range) -> float:
    return float(rng.uniform(*limits))


def _tinted(rng: np.random.Generator, tone: float, spread: float) -> np.ndarray:
    """A BGR colour of about the brightness ``tone``."""
    warm = rng.uniform(-spread, spread)
    return tone * np.array([1 - warm, 1 + rng.uniform(-spread, spread) * 0.3, 1 + warm])


def _draw_camera(style: Style, rng: np.random.Generator) -> Camera:
    width = _between(rng, style.view_width)
    target = (0.0, rng.uniform(-45, 45))
    tilt, yaw = math.radians(_between(rng, style.tilt)), math.radians(_between(rng, style.yaw))
    return look_at(target, width, tilt, yaw, (IMAGE_HW[0] * SCALE, IMAGE_HW[1] * SCALE))


def _draw_belt(style: Style, rng: np.random.Generator) -> Belt:
    rail = _tinted(rng, rng.uniform(0.08, 0.4), rng.choice([0.05, 0.5]))
    return Belt(
        pitch=_between(rng, style.pitch),
        gap=_between(rng, style.gap),
        half_width=_between(rng, style.half_width),
        shift=rng.uniform(0, 1),
        colour=_tinted(rng, _between(rng, style.belt_tone), 0.05),
        gloss=_between(rng, style.belt_gloss),
        rough=_between(rng, style.belt_rough),
        uneven=_between(rng, style.belt_uneven),
        crown=_between(rng, style.belt_crown),
        worn=_between(rng, style.worn),
        ribs=int(rng.choice(style.ribs)),
        rivets=float(rng.choice(style.rivets)),
        rail=rail,
        floor=_tinted(rng, rng.uniform(0.05, 0.22), 0.15),
    )


def _draw_lighting(style: Style, camera: Camera, rng: np.random.Generator) -> Lighting:
    warm = _between(rng, style.warmth)
    tint = np.array([1 - warm, 1.0, 1 + warm])
    azimuth, elevation = rng.uniform(0, 2 * math.pi), math.radians(_between(rng, style.elevation))
    c = math.cos(elevation)
    direction = np.array([c * math.cos(azimuth), c * math.sin(azimuth), math.sin(elevation)])
    return Lighting(
        direction=direction,
        main=_between(rng, style.main) * tint,
        around=_between(rng, style.around) * (2 - tint),
        ceiling=_between(rng, style.ceiling) * (2 - tint),
        clutter=_between(rng, style.clutter),
        lamps=[_draw_lamp(style, camera, tint, rng) for _ in range(rng.integers(*style.lamps, endpoint=True))],
    )


def _draw_lamp(style: Style, camera: Camera, tint: np.ndarray, rng: np.random.Generator) -> Lamp:
    # Most lamps are where a flat mirror on the belt shows them to the camera; bent sheets show others.
    ahead = camera.axes[2]
    mirror = np.array([ahead[0], ahead[1]]) / -ahead[2]
    long = _between(rng, style.lamp_size)
    angle = rng.choice([0.0, math.pi / 2]) + rng.uniform(-0.25, 0.25)
    return Lamp(
        centre=mirror + rng.uniform(-1, 1, 2) * (0.55, 0.3),
        size=np.array([long, long * rng.uniform(0.12, 0.5)]),
        angle_cs=np.array([math.cos(angle), math.sin(angle)]),
        colour=_between(rng, style.lamp_power) * tint,
        edge=_between(rng, style.lamp_edge),
        bars=int(rng.choice([0, 0, 3, 5])),
    )


def _draw_material(style: Style, rng: np.random.Generator) -> Material:
    finish = rng.choice(3, p=[0.5, 0.3, 0.2])
    brushed, patched = ((0.14, 0.0), (0.05, 0.08), (0.03, 0.0))[finish]
    spread = 0.3 if rng.random() < 0.08 else 0.05
    return Material(
        colour=_tinted(rng, _between(rng, style.sheet_tone), spread),
        gloss=_tinted(rng, _between(rng, style.sheet_gloss), spread * 0.6),
        rough=_between(rng, style.sheet_rough),
        brushed=brushed * rng.uniform(0.5, 1.3),
        stained=rng.uniform(0.02, 0.2),
        patched=patched,
        wavy=rng.uniform(0.01, 0.07),
    )


def _place_parts(canvas: Canvas, style: Style, belt: Belt, lighting: Lighting, rng: np.random.Generator) -> None:
    names = list(style.kinds)
    weights = np.array([style.kinds[name] for name in names])
    camera = canvas.camera
    half_view = 0.5 * camera.size_hw[1] * float(camera.centre[2] / -camera.axes[2][2]) / camera.focal
    count = int(rng.integers(*style.count, endpoint=True))
    taken: list[tuple[float, float, float]] = []
    for _ in range(count):
        size = _between(rng, style.size)
        part = KINDS[names[rng.choice(len(names), p=weights / weights.sum())]](rng, size)
        x, y = _free_place(rng, taken, half_view, belt.half_width, size)
        below = [height for px, py, height in taken if math.hypot(px - x, py - y) < 0.6 * size]
        height = max(below, default=0.0) + rng.uniform(4, 10)
        part = _posed(part, (x, y, height), lean=0.16 if below else 0.03, rng=rng)
        canvas.add(part, _draw_material(style, rng), rng.uniform(2.5, 5.0), lighting.direction, rng)
        taken.append((x, y, height))


def _free_place(
    rng: np.random.Generator, taken: list[tuple[float, float, float]], half_view: float, half_width: float, size: float
) -> tuple[float, float]:
    """A place on the belt; usually the emptiest of a few, now and then on top of another part."""
    tries = int(rng.choice([1, 2, 6], p=[0.2, 0.3, 0.5]))
    best, widest = (0.0, 0.0), -1.0
    for _ in range(tries):
        spot = (rng.uniform(-0.97, 0.97) * half_view, rng.uniform(-0.8, 0.8) * max(half_width - 0.25 * size, 30))
        room = min((math.hypot(spot[0] - x, spot[1] - y) for x, y, _ in taken), default=1e9)
        if room > widest:
            best, widest = spot, room
    return best


def _posed(part: Part, place: tuple[float, float, float], lean: float, rng: np.random.Generator) -> Part:
    yaw, a, b = rng.uniform(0, 2 * math.pi), rng.normal(0, lean), rng.normal(0, lean)
    turn = np.array([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
    tilt_x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    tilt_y = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    rotation = turn @ tilt_x @ tilt_y
    turned = [facet.moved(rotation, np.zeros(3)) for facet in part]
    low = min(float(points[:, 2].min()) for facet in turned for points in facet.points())
    shift = np.array(place) - (0, 0, low)
    return [facet.moved(np.eye(3), shift) for facet in turned]


def _draw_shot(style: Style, rng: np.random.Generator) -> Shot:
    noise = _between(rng, style.noise)
    return Shot(
        exposure=2.0 ** _between(rng, style.stops),
        gradient=(rng.uniform(-1, 1) * style.gradient, rng.uniform(-0.5, 0.5) * style.gradient),
        blur=_between(rng, style.blur),
        motion=int(rng.integers(*style.motion, endpoint=True)),
        bloom=_between(rng, style.bloom),
        veil=_between(rng, style.veil),
        vignetting=_between(rng, style.vignetting),
        noise=noise,
        shot_noise=2 * noise,
        balance=np.array([1 + rng.uniform(-0.04, 0.04), 1.0, 1 + rng.uniform(-0.04, 0.04)]),
        contrast=_between(rng, style.contrast),
    )


def visible_boxes(canvas: Canvas) -> np.ndarray:
    """Boxes (N, 4) around what is seen of every part, without parts that are all but hidden."""
    boxes = []
    for index, alone in enumerate(canvas.areas):
        seen = canvas.part == index
        area = int(np.count_nonzero(seen))
        if area < max(MIN_VISIBLE_SHARE * alone, MIN_VISIBLE_AREA * SCALE * SCALE):
            continue
        columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
        boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    return np.array(boxes, float).reshape(-1, 4) / SCALE
