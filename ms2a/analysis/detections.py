"""Drawing detections."""

from collections.abc import Sequence

import cv2
import numpy as np

from ms2a.analysis.batches import MIN_SIDE, class_colour

FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_detections(
    image: np.ndarray,
    detections: Sequence[np.ndarray],
    classes: Sequence[str],
    score_thr: float = 0.3,
    with_scores: bool = True,
) -> np.ndarray:
    """Draws the boxes of an image with class and score, the best on top.

    Args:
        image: (H, W, 3) uint8, BGR.
        detections: for each class (N, 5) float: x1, y1, x2, y2 in pixels and a score in 0–1, mmdet's result format.
        classes: class names.
        score_thr: boxes with lower scores are left out.
        with_scores: write the score behind the class; the ground truth has none.

    Returns:
        (H', W', 3) uint8, BGR; a small image is enlarged by a whole factor, so that labels can be read.
    """
    scale = max(1, round(MIN_SIDE / max(image.shape[:2])))
    canvas = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR) if scale > 1 else image.copy()
    size = max(0.4, max(canvas.shape[:2]) / 2000)  # of the letters, about 1/100 of the image's longer side
    thickness = max(1, round(2.5 * size))
    found = [(box, label) for label, boxes in enumerate(detections) for box in boxes if box[4] >= score_thr]
    for box, label in sorted(found, key=lambda item: item[0][4]):
        colour = class_colour(label)
        x1, y1, x2, y2 = (int(round(float(value) * scale)) for value in box[:4])
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, thickness)
        text = f"{classes[label]} {box[4]:.2f}" if with_scores else classes[label]
        _label(canvas, text, (x1, y1), colour, size)
    return canvas


def _label(
    canvas: np.ndarray, text: str, corner_xy: tuple[int, int], colour: tuple[int, int, int], size: float
) -> None:
    """Dark text on a plate of the class' colour: above the corner, or below it at the upper edge of the image."""
    (width, height), below = cv2.getTextSize(text, FONT, size, 1)
    x = min(max(corner_xy[0], 0), max(canvas.shape[1] - width, 0))
    y = corner_xy[1] - below if corner_xy[1] - below - height >= 0 else corner_xy[1] + height + below
    cv2.rectangle(canvas, (x, y - height - 1), (x + width, y + below - 1), colour, cv2.FILLED)
    cv2.putText(canvas, text, (x, y), FONT, size, (0, 0, 0), 1, cv2.LINE_AA)
