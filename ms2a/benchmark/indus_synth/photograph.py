"""From light to an image file's pixels: lens, exposure, sensor and tone curve."""

from dataclasses import dataclass

import cv2
import numpy as np

from ms2a.benchmark.indus_synth.portable import lookup


@dataclass(frozen=True)
class Shot:
    """One exposure.

    Attributes:
        exposure: factor on the light.
        gradient: (2,) relative change of exposure from the middle to the right and the bottom edge.
        blur: sigma of the lens blur, pixels of the enlarged picture.
        motion: length of the motion blur along x, pixels of the enlarged picture.
        bloom: share of the light that the lens scatters widely.
        veil: stray light added everywhere, 1 is white.
        vignetting: loss of light in the corners, 0 to 1.
        noise: standard deviation of the sensor noise in the dark, 1 is white.
        shot_noise: the same at white, from counting photons.
        balance: (3,) BGR factors of the white balance.
        contrast: 0 gives a plain gamma curve, 1 a strong S-curve.
    """

    exposure: float
    gradient: tuple[float, float]
    blur: float
    motion: int
    bloom: float
    veil: float
    vignetting: float
    noise: float
    shot_noise: float
    balance: np.ndarray
    contrast: float


def develop(light: np.ndarray, shot: Shot, scale: int, rng: np.random.Generator) -> np.ndarray:
    """The photograph of a scene.

    Args:
        light: (3, scale*H, scale*W) float32 BGR, linear.
        shot: camera settings.
        scale: how much larger ``light`` is than the photograph.
        rng: draws the noise.

    Returns:
        (H, W, 3) uint8, BGR.
    """
    planes = [_lens(plane, shot, scale) for plane in light]
    height, width = planes[0].shape
    x = (np.arange(width, dtype=np.float32) - np.float32(width / 2)) / np.float32(width / 2)
    y = (np.arange(height, dtype=np.float32) - np.float32(height / 2)) / np.float32(height / 2)
    falloff = 1 - np.float32(shot.vignetting) * np.minimum(0.75 * x[None] * x[None] + 0.25 * y[:, None] * y[:, None], 1)
    ramp = np.maximum(1 + np.float32(shot.gradient[0]) * x[None] + np.float32(shot.gradient[1]) * y[:, None], 0.05)
    gain = (falloff * ramp * np.float32(shot.exposure)).astype(np.float32)
    table = _tone_curve(shot.contrast)
    common = rng.standard_normal((height, width), dtype=np.float32)
    pixels = []
    for plane, balance in zip(planes, shot.balance, strict=True):
        exposed = plane * gain * np.float32(balance) + np.float32(shot.veil)
        sigma = np.float32(shot.noise) + np.float32(shot.shot_noise) * np.sqrt(np.clip(exposed, 0, 1))
        own = rng.standard_normal((height, width), dtype=np.float32)
        noisy = exposed + sigma * (np.float32(0.8) * common + np.float32(0.6) * own)
        pixels.append(lookup(table, np.sqrt(np.maximum(noisy, 0)), 2.0))
    return np.stack(pixels, axis=2)


def _lens(plane: np.ndarray, shot: Shot, scale: int) -> np.ndarray:
    if shot.motion > 1:
        plane = cv2.blur(plane, (shot.motion, 1))
    plane = cv2.GaussianBlur(plane, (0, 0), shot.blur)
    height, width = plane.shape[0] // scale, plane.shape[1] // scale
    blocks = plane.reshape(height, scale, width, scale)
    small = np.zeros((height, width), np.float32)
    for i in range(scale):
        for j in range(scale):
            small += blocks[:, i, :, j]
    small *= np.float32(1 / (scale * scale))
    coarse = cv2.resize(np.minimum(small, 12), (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    wide = cv2.resize(cv2.GaussianBlur(coarse, (0, 0), 2.5), (width, height), interpolation=cv2.INTER_LINEAR)
    return small * np.float32(1 - shot.bloom) + wide * np.float32(shot.bloom)


def _tone_curve(contrast: float) -> np.ndarray:
    """8-bit values for square roots of light from 0 to 2: gamma, some contrast, a shoulder instead of a hard clip."""
    light = np.linspace(0, 2, 8193) ** 2
    shoulder = np.where(light < 0.6, light, 0.6 + 0.4 * (1 - np.exp(-(light - 0.6) / 0.5)))
    value = shoulder ** (1 / 2.2)
    curved = value * value * (3 - 2 * value)
    return np.round(255 * (value + contrast * (curved - value))).astype(np.uint8)
