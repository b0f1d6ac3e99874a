"""Arithmetic that gives the same bits on every machine of a platform.

OpenCV and numpy choose faster code for newer processors, and its last bits differ. The generator therefore runs OpenCV
in its baseline code path and uses, on pixel arrays, only numpy operations that IEEE 754 rounds exactly: ``+ - * /``,
square root, comparisons and table look-ups; no ``exp``, ``sin`` or ``**`` and no sums.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np


@contextmanager
def baseline_opencv() -> Iterator[None]:
    """Runs the block with OpenCV's processor-specific code switched off, and switches it back afterwards."""
    before = cv2.useOptimized()
    cv2.setUseOptimized(False)
    try:
        yield
    finally:
        cv2.setUseOptimized(before)


def lookup(table: np.ndarray, values: np.ndarray, upper: float) -> np.ndarray:
    """Reads a function from a table of its values at equal steps over ``[0, upper]`` (nearest entry, ends clamped).

    Args:
        table: (N,) values of the function.
        values: arguments, any shape, float32.
        upper: the argument of the last entry.

    Returns:
        Array of the shape of ``values`` and the type of ``table``.
    """
    steps = len(table) - 1
    index = np.clip(values * np.float32(steps / upper), 0, steps).astype(np.int32)
    return table[index]


def smoothstep(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Zero below ``low``, one above ``high``, and a smooth cubic between."""
    t = np.clip((values - np.float32(low)) * np.float32(1.0 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)
