"""Light in the hall: a main lamp that casts shadows, the glow of everything around, and lamps mirrored in metal."""

from dataclasses import dataclass

import numpy as np

from ms2a.benchmark.indus_synth.canvas import Canvas
from ms2a.benchmark.indus_synth.noise import sample, textures

CEILING = np.float32(2500.0)


@dataclass(frozen=True)
class Lamp:
    """A lamp housing under the ceiling, as a mirror on the belt sees it.

    Attributes:
        centre: (2,) place, in ceiling heights from the point above the world's origin.
        size: (2,) half extents, ceiling heights.
        angle_cs: (2,) cosine and sine of its rotation.
        colour: (3,) BGR brightness.
        edge: blur of its border, ceiling heights.
        bars: number of dark bars across it (a louvre); 0 for none.
    """

    centre: np.ndarray
    size: np.ndarray
    angle_cs: np.ndarray
    colour: np.ndarray
    edge: float
    bars: int


@dataclass(frozen=True)
class Lighting:
    """All light of a scene.

    Attributes:
        direction: (3,) unit vector towards the main lamp.
        main: (3,) BGR strength of the main lamp.
        around: (3,) BGR strength of the surrounding light.
        ceiling: (3,) BGR brightness of the ceiling between the lamps.
        clutter: contrast of beams and pipes under the ceiling, 0 to 1.
        lamps: the lamps that show in mirrors.
    """

    direction: np.ndarray
    main: np.ndarray
    around: np.ndarray
    ceiling: np.ndarray
    clutter: float
    lamps: list[Lamp]


def shade(canvas: Canvas, lighting: Lighting, rays: np.ndarray, belt_xy: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Light that reaches the camera, (3, H, W) float32 BGR, linear, 1 is about white paper.

    Args:
        canvas: the painted scene.
        lighting: its light.
        rays: (3, H, W) viewing directions.
        belt_xy: world X and Y of every pixel, (H, W) each.
    """
    nx, ny, nz = canvas.normal
    facing = nx * np.float32(lighting.direction[0]) + ny * np.float32(lighting.direction[1])
    facing = np.maximum(facing + nz * np.float32(lighting.direction[2]), 0) * canvas.lit
    glow = (np.float32(0.6) + np.float32(0.4) * nz) * canvas.open
    mirrored = _mirror(canvas, lighting, rays, belt_xy)
    visible = np.float32(0.35) + np.float32(0.65) * canvas.open
    out = np.empty_like(canvas.colour)
    for i in range(3):
        scattered = facing * np.float32(lighting.main[i]) + glow * np.float32(lighting.around[i])
        out[i] = canvas.colour[i] * scattered + canvas.gloss[i] * visible * mirrored[i]
    return out


def _mirror(canvas: Canvas, lighting: Lighting, rays: np.ndarray, belt_xy: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """What a perfect but rough mirror in place of every pixel would show, (3, H, W)."""
    nx, ny, nz = canvas.normal
    along = np.float32(-2) * (nx * rays[0] + ny * rays[1] + nz * rays[2])
    rx, ry, rz = rays[0] + along * nx, rays[1] + along * ny, rays[2] + along * nz
    steep = 1 / np.maximum(rz, np.float32(0.06))
    qx, qy = belt_xy[0] / CEILING + rx * steep, belt_xy[1] / CEILING + ry * steep
    upward = np.clip(rz * np.float32(4.0) + np.float32(0.3), np.float32(0.12), 1)
    beams = sample(textures().stains, qx * 160 + 700, qy * 160 + 350)
    sky = upward * np.maximum(1 + np.float32(lighting.clutter) * beams, np.float32(0.05))
    out = np.stack([sky * np.float32(c) for c in lighting.ceiling])
    for lamp in lighting.lamps:
        spot = _lamp_image(lamp, qx, qy, canvas.rough) * (rz > 0)
        for i in range(3):
            out[i] += spot * np.float32(lamp.colour[i])
    return out


def _lamp_image(lamp: Lamp, qx: np.ndarray, qy: np.ndarray, rough: np.ndarray) -> np.ndarray:
    dx, dy = qx - np.float32(lamp.centre[0]), qy - np.float32(lamp.centre[1])
    c, s = np.float32(lamp.angle_cs[0]), np.float32(lamp.angle_cs[1])
    a, b = dx * c + dy * s, dy * c - dx * s
    soft = rough + np.float32(lamp.edge)
    over_a = np.maximum(np.abs(a) - np.float32(lamp.size[0]), 0)
    over_b = np.maximum(np.abs(b) - np.float32(lamp.size[1]), 0)
    soft2 = soft * soft
    falloff = soft2 / (soft2 + (over_a * over_a + over_b * over_b))
    # A rough surface spreads the same light over a larger patch.
    area = np.float32(4 * lamp.size[0] * lamp.size[1])
    spot = falloff * falloff * (area / (area + np.float32(2.5) * soft2))
    if lamp.bars:
        phase = (a / np.float32(lamp.size[0]) + 1) * np.float32(0.5 * lamp.bars)
        stripe = np.abs(phase - np.floor(phase) - np.float32(0.5)) * 2
        spot *= 1 - np.float32(0.75) * (stripe > np.float32(0.7)) * np.maximum(1 - soft * np.float32(12), 0)
    return spot
