"""Pictures as the network's input: read, resized into the frame with their ratio kept, padded."""

import os
from collections.abc import Sequence

import cv2
import numpy as np

from .about import ExportError


def read_picture(path: str | os.PathLike, bit_depth: int | None = None) -> np.ndarray:
    """A picture as (H, W, 3) uint8 in BGR, upright; of 16 bits the lower ``bit_depth`` are used.

    Raises:
        ExportError: it is missing or unreadable.
    """
    flags = cv2.IMREAD_COLOR if bit_depth is None else cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), flags)
    except (OSError, cv2.error):
        image = None
    if image is None:
        raise ExportError(f"picture {path} is missing or cannot be read")
    return image if image.dtype == np.uint8 else np.minimum(image >> (bit_depth - 8), 255).astype(np.uint8)


def fit(image: np.ndarray, size_hw: Sequence[int], divisor: int | None, fill: float) -> tuple[np.ndarray, np.ndarray]:
    """Resizes into a frame, ratio kept, and pads right and bottom.

    Args:
        image: (H, W, 3) uint8.
        size_hw: height and width of the frame.
        divisor: pad to the next multiple of it only; None: to the frame.
        fill: the padding's value.

    Returns:
        (3, H', W') float32, and (4,) float32: by what x1, y1, x2, y2 are to be divided.
    """
    height, width = image.shape[:2]
    ratio = min(size_hw[0] / height, size_hw[1] / width)
    new_h, new_w = int(height * ratio + 0.5), int(width * ratio + 0.5)
    resized = cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_LINEAR)
    whole = [-(-side // divisor) * divisor for side in (new_h, new_w)] if divisor else size_hw
    framed = np.full((3, *whole), fill, np.float32)
    framed[:, :new_h, :new_w] = resized.transpose(2, 0, 1)
    return framed, np.array([new_w / width, new_h / height] * 2, np.float32)
