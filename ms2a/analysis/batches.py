"""Drawing what the network is fed in training."""

from collections.abc import Sequence

import cv2
import numpy as np

CAPTION_HEIGHT = 20
MASK_COLOUR_BGR = (80, 200, 80)
MASK_OPACITY = 0.35
MIN_SIDE = 480
"""Smaller images are enlarged by a whole number up to about this long side, so that labels can be read."""


def class_colour(label: int) -> tuple[int, int, int]:
    """A colour (BGR) for a label; neighbouring labels get hues far apart."""
    hue = np.uint8([[[label * 67 % 180, 200, 255]]])
    return tuple(int(value) for value in cv2.cvtColor(hue, cv2.COLOR_HSV2BGR)[0, 0])


def draw_training_image(
    image: np.ndarray,
    boxes_xyxy: np.ndarray,
    labels: Sequence[int],
    classes: Sequence[str],
    caption: str,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """One training image with its boxes, class names, foreground mask and a caption above.

    Args:
        image: (H, W, 3) uint8, BGR.
        boxes_xyxy: (N, 4) in pixels.
        labels: N positions in ``classes``.
        classes: class names.
        caption: one line, e.g. domain and size.
        mask: (h, w) of zeros and ones on a coarser grid, or None.

    Returns:
        (H', W', 3) uint8, BGR; larger than the image by the caption, and by a whole factor if it was small.
    """
    height, width = image.shape[:2]
    scale = max(1, round(MIN_SIDE / max(height, width)))
    canvas = cv2.resize(image, (width * scale, height * scale), interpolation=cv2.INTER_NEAREST)
    if mask is not None:
        canvas = _tint(canvas, mask)
    for box, label in zip(boxes_xyxy * scale, labels, strict=True):
        x1, y1, x2, y2 = (int(round(float(value))) for value in box)
        colour = class_colour(int(label))
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, 2)
        _write(canvas, classes[int(label)], (x1 + 2, max(y1 - 3, 10)), colour)
    canvas = cv2.copyMakeBorder(canvas, CAPTION_HEIGHT, 0, 0, 0, cv2.BORDER_CONSTANT)
    _write(canvas, caption, (4, CAPTION_HEIGHT - 6), (255, 255, 255))
    return canvas


def _tint(canvas: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Colours the cells of the mask and draws their borders."""
    cells = cv2.resize(mask.astype(np.uint8), canvas.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    tinted = cv2.addWeighted(canvas, 1 - MASK_OPACITY, np.full_like(canvas, MASK_COLOUR_BGR), MASK_OPACITY, 0)
    canvas = np.where(cells[..., None] > 0, tinted, canvas)
    outlines, _ = cv2.findContours(cells, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    return cv2.drawContours(np.ascontiguousarray(canvas), outlines, -1, MASK_COLOUR_BGR, 1)


def _write(canvas: np.ndarray, text: str, position_xy: tuple[int, int], colour: tuple[int, int, int]) -> None:
    for shade, thickness in (((0, 0, 0), 3), (colour, 1)):
        cv2.putText(canvas, text, position_xy, cv2.FONT_HERSHEY_SIMPLEX, 0.42, shade, thickness, cv2.LINE_AA)
