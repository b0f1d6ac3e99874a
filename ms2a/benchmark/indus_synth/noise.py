"""Smooth random textures: stains, brushed metal, grain."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ms2a.benchmark.indus_synth.portable import baseline_opencv

TEXTURE_HW = (768, 1536)
_TEXTURE_SEED = 20_250_101


@dataclass(frozen=True)
class Textures:
    """Random fields of shape ``TEXTURE_HW``, float32, mean about 0 and spread about 1.

    Attributes:
        stains: sum of several octaves of smooth noise.
        brushed: long streaks along x, as left by rolling and brushing.
        grain: detail of about a pixel, slightly smoothed.
        patches: cells with sharp borders, like the crystals of galvanised sheet.
    """

    stains: np.ndarray
    brushed: np.ndarray
    grain: np.ndarray
    patches: np.ndarray


@lru_cache(maxsize=1)
def textures() -> Textures:
    """The textures that all scenes cut their patches from; always the same."""
    rng = np.random.default_rng(_TEXTURE_SEED)
    with baseline_opencv():
        return Textures(_stains(rng), _brushed(rng), _grain(rng), _patches(rng))


def _stretched(rng: np.random.Generator, cells_hw: tuple[int, int]) -> np.ndarray:
    field = rng.standard_normal(cells_hw, dtype=np.float32)
    return cv2.resize(field, TEXTURE_HW[::-1], interpolation=cv2.INTER_CUBIC)


def _stains(rng: np.random.Generator) -> np.ndarray:
    field = np.zeros(TEXTURE_HW, np.float32)
    weight = 0.7
    for cells in (12, 24, 48, 96, 192):
        field += np.float32(weight) * _stretched(rng, (cells // 2, cells))
        weight *= 0.62
    return field


def _brushed(rng: np.random.Generator) -> np.ndarray:
    field = np.zeros(TEXTURE_HW, np.float32)
    for rows, columns, weight in ((768, 12, 0.75), (512, 40, 0.55), (256, 8, 0.5), (768, 160, 0.35)):
        field += np.float32(weight) * _stretched(rng, (rows, columns))
    return field


def _grain(rng: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(rng.standard_normal(TEXTURE_HW, dtype=np.float32), (0, 0), 0.8) * np.float32(2.2)


def _patches(rng: np.random.Generator) -> np.ndarray:
    bent = _stretched(rng, (192, 384)) * np.float32(5.0)
    other = _stretched(rng, (192, 384)) * np.float32(5.0)
    rows, columns = np.indices(TEXTURE_HW, dtype=np.float32)
    cells = rng.standard_normal((TEXTURE_HW[0] // 12, TEXTURE_HW[1] // 12), dtype=np.float32)
    row = np.clip((rows + bent) / 12, 0, cells.shape[0] - 1).astype(np.int32)
    column = np.clip((columns + other) / 12, 0, cells.shape[1] - 1).astype(np.int32)
    return cells[row, column]


def sample(texture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Reads a texture at pixel coordinates, repeating it mirror-wise beyond its edges.

    Only every second pixel of every second row is read, for speed, and the rest interpolated.

    Args:
        texture: one field of :class:`Textures`.
        x: columns to read, float32, any (H, W).
        y: rows to read, the same shape.
    """
    coarse = (np.ascontiguousarray(x[::2, ::2]), np.ascontiguousarray(y[::2, ::2]))
    read = cv2.remap(texture, *coarse, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return cv2.resize(read, x.shape[::-1], interpolation=cv2.INTER_LINEAR)
