"""Scores of one detector on one test set in the detail that people ask for: sizes, classes, curves, errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ms2a.analysis.error_analysis import coco_evaluation, costs_of_errors

SIZES = ("small", "medium", "large")
"""COCO's: below 32² square pixels of the picture, below 96², above."""
CURVE_IOUS = (0.5, 0.75)
_AREAS = (32**2, 96**2)


@dataclass(frozen=True)
class Scores:
    """By COCO's rules, in percent; None where there is no object to be found.

    Attributes:
        map: mean over IoU 0.50 to 0.95 and classes.
        map50: at IoU 0.50.
        map75: at IoU 0.75.
        sizes: ``map`` of each of :data:`SIZES`.
        classes: for each class, ``(map, map50)``.
        curves: for each of :data:`CURVE_IOUS` the precision (101,) at recalls 0, 0.01, …, 1, mean over classes.
        class_curves: for each class the precision at IoU 0.50.
        errors: points of mAP50 that each kind of error costs, see :mod:`ms2a.analysis.error_analysis`.
    """

    map: float | None
    map50: float | None
    map75: float | None
    sizes: Mapping[str, float | None]
    classes: Mapping[str, tuple[float | None, float | None]]
    curves: Mapping[float, np.ndarray]
    class_curves: Mapping[str, np.ndarray]
    errors: Mapping[str, float]


@dataclass(frozen=True)
class Objects:
    """How many objects a test set has.

    Attributes:
        classes: of each class.
        sizes: of each of :data:`SIZES`.
        images: pictures.
    """

    classes: Mapping[str, int]
    sizes: Mapping[str, int]
    images: int


def count_objects(truth: Mapping[str, Any]) -> Objects:
    """Counts the objects of annotations in COCO's form; regions to be ignored are none."""
    objects = [item for item in truth["annotations"] if not item.get("iscrowd")]
    names = {category["id"]: category["name"] for category in truth["categories"]}
    sizes = np.digitize([item["area"] for item in objects], _AREAS)
    return Objects(
        {name: sum(item["category_id"] == key for item in objects) for key, name in names.items()},
        {name: int((sizes == number).sum()) for number, name in enumerate(SIZES)},
        len(truth["images"]),
    )


def score(truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]]) -> Scores:
    """Scores detections.

    Args:
        truth: mended annotations, with no other categories than the detector's classes.
        detections: COCO results of these images and categories.
    """
    names = {category["id"]: category["name"] for category in truth["categories"]}
    if detections:
        evaluation = coco_evaluation(truth, detections)
        # (10 IoUs, 101 recalls, classes by rising id, areas: all, small, medium, large)
        precision = evaluation.eval["precision"][..., -1]
    else:
        counted = count_objects(truth)
        known = np.array([[counted.classes[names[key]] > 0] for key in sorted(names)])  # (classes, 1)
        known = known & [True, *(counted.sizes[size] > 0 for size in SIZES)]
        precision = np.broadcast_to(np.where(known, 0.0, -1.0), (10, 101, *known.shape))
    precision = np.where(precision < 0, np.nan, precision)
    ious = np.arange(0.5, 1, 0.05).round(2).tolist()
    of_class = {names[key]: precision[:, :, number, 0] for number, key in enumerate(sorted(names))}
    return Scores(
        map=_percent(precision[..., 0]),
        map50=_percent(precision[0, ..., 0]),
        map75=_percent(precision[5, ..., 0]),
        sizes={name: _percent(precision[..., number]) for number, name in enumerate(SIZES, start=1)},
        classes={name: (_percent(own), _percent(own[0])) for name, own in of_class.items()},
        curves={iou: _mean(precision[ious.index(iou), :, :, 0], axis=1) for iou in CURVE_IOUS},
        class_curves={name: own[0] for name, own in of_class.items() if not np.isnan(own[0]).all()},
        errors=costs_of_errors(truth, detections)[1] if detections and (precision[..., 0] >= 0).any() else {},
    )


def _percent(precision: np.ndarray) -> float | None:
    known = precision[~np.isnan(precision)]
    return 100 * float(known.mean()) if known.size else None


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of what is no NaN."""
    known = ~np.isnan(values)
    return np.where(known, values, 0).sum(axis) / np.maximum(known.sum(axis), 1)
