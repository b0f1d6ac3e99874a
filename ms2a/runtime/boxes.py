"""The head's maps → boxes, and suppression of those that overlap better ones."""

from collections.abc import Sequence

import cv2
import numpy as np

from .about import STRIDES


def decode(outputs: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The head's nine maps → boxes (B, N, 4) in pixels, scores (B, N) of the best class, and that class (B, N)."""
    flat = [level.reshape(*level.shape[:2], -1).transpose(0, 2, 1) for level in outputs]
    classes, boxes, objectness = (np.concatenate(flat[start : start + 3], axis=1) for start in (0, 3, 6))
    priors = []
    for stride, level in zip(STRIDES, outputs, strict=False):
        y, x = np.mgrid[: level.shape[2], : level.shape[3]].reshape(2, -1) * stride
        priors.append(np.stack([x, y, np.full_like(x, stride)], axis=1).astype(np.float32))
    priors = np.concatenate(priors)
    centres = boxes[..., :2] * priors[:, 2:] + priors[:, :2]
    halves = np.exp(boxes[..., 2:]) * priors[:, 2:] / 2
    with np.errstate(over="ignore"):
        scores = 1 / (1 + np.exp(-classes.max(axis=2))) / (1 + np.exp(-objectness[..., 0]))
    return np.concatenate([centres - halves, centres + halves], axis=2), scores, classes.argmax(axis=2)


def suppress(
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    score_thr: float,
    iou_threshold: float,
    max_per_img: int,
    soft: str | None = None,
    sigma: float = 0.5,
    min_score: float = 1e-3,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What NMS (``soft=None``) or soft-NMS (``"linear"``, ``"gaussian"``) leaves of one picture, by falling score."""
    left = np.flatnonzero(scores >= score_thr)
    boxes, scores, labels = boxes[left], scores[left].copy(), labels[left]
    if not len(boxes):
        kept = np.zeros(0, np.int64)
    elif soft is None:
        corners_and_sides = np.c_[boxes[:, :2], boxes[:, 2:] - boxes[:, :2]].astype(np.float64)
        # Its own score threshold leaves out equal scores.
        kept = cv2.dnn.NMSBoxesBatched(corners_and_sides, scores, labels.astype(np.int32), -1.0, iou_threshold)
    else:
        kept = _suppress_softly(boxes, scores, labels, iou_threshold, soft, sigma, min_score)
    kept = np.asarray(kept, np.int64).reshape(-1)[:max_per_img]
    return boxes[kept], scores[kept], labels[kept]


def _suppress_softly(
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    iou_threshold: float,
    soft: str,
    sigma: float,
    min_score: float,
) -> list[int]:
    """Lowers the scores of boxes that overlap better ones, in place; places of those left, best first."""
    areas, rest, kept = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), np.arange(len(boxes)), []
    while len(rest):
        best = rest[scores[rest].argmax()]
        kept.append(best)
        rest = rest[rest != best]
        sides = np.minimum(boxes[best, 2:], boxes[rest, 2:]) - np.maximum(boxes[best, :2], boxes[rest, :2])
        shared = np.prod(np.maximum(sides, 0), axis=1)
        overlaps = np.where(labels[rest] == labels[best], shared / (areas[best] + areas[rest] - shared), 0)
        linear = np.where(overlaps >= iou_threshold, 1 - overlaps, 1)
        scores[rest] *= linear if soft == "linear" else np.exp(-overlaps * overlaps / sigma)
        rest = rest[scores[rest] >= min_score]
    return kept
