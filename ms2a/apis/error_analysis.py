"""Which errors cost how much: the mAP50 that a detector would have without each kind of error (Bolya 2020, TIDE)."""

import contextlib
import io
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ms2a.artefacts import read_json
from ms2a.datasets.annotations import mend_annotations, read_coco
from ms2a.errors import UserError

FOUND = "found"
# What a detection is that finds no object: a second one of an object; beside one (IoU of LOOSE to MATCHED); on none.
DUPLICATE, LOOSE_BOX, BACKGROUND = "duplicate", "loose box", "background"
MISSED = "missed object"
KINDS = (DUPLICATE, LOOSE_BOX, BACKGROUND, MISSED)
MATCHED, LOOSE = 0.5, 0.1


def analyse_errors(
    ann_file: str | os.PathLike, detections: str | os.PathLike, domain: str | None = None
) -> tuple[float, dict[str, float]]:
    """Takes each kind of error away, one at a time.

    Args:
        ann_file: COCO annotations of a test set.
        detections: COCO results of ``tools/test.py --out``.
        domain: whose detections count, if the results hold those of several test sets.

    Returns:
        mAP50 in percent, and for each of :data:`KINDS` the points it would gain.

    Raises:
        UserError: a file is missing or not valid, or there are no detections of the domain.
    """
    truth = read_coco(ann_file)
    mend_annotations(truth)
    results = [item for item in read_json(detections, "detections") if domain in (None, item.get("domain"))]
    if not results:
        raise UserError(f"{detections} holds no detections{f' of domain {domain!r}' if domain else ''}")
    kinds, never_found = sort_detections(truth["annotations"], results)
    whole = _map50(truth, results)
    gains = {}
    for kind in (DUPLICATE, LOOSE_BOX, BACKGROUND):
        gains[kind] = _map50(truth, [item for item, own in zip(results, kinds, strict=True) if own != kind]) - whole
    found = [item for item in truth["annotations"] if item["id"] not in never_found]
    gains[MISSED] = _map50({**truth, "annotations": found}, results) - whole
    return whole, gains


def sort_detections(
    annotations: Sequence[Mapping[str, Any]], detections: Sequence[Mapping[str, Any]]
) -> tuple[list[str], set[int]]:
    """The kind of each detection, and the ids of the annotations that none of them finds.

    As in the COCO evaluation at IoU 0.5, detections choose by falling score; each takes the free object of its class
    that it covers best.
    """
    truth = defaultdict(list)
    for annotation in annotations:
        if not annotation.get("iscrowd"):
            truth[annotation["image_id"], annotation["category_id"]].append(annotation)
    never_found = {annotation["id"] for objects in truth.values() for annotation in objects}
    kinds = [""] * len(detections)
    for index in sorted(range(len(detections)), key=lambda index: -detections[index]["score"]):
        detection = detections[index]
        objects = truth[detection["image_id"], detection["category_id"]]
        boxes = np.array([item["bbox"] for item in objects], float).reshape(-1, 4)
        overlaps = np.array(mask.iou(np.array([detection["bbox"]], float), boxes, [0] * len(boxes))).reshape(-1)
        best_first = [objects[number] for number in np.argsort(-overlaps) if overlaps[number] >= MATCHED]
        free = next((item for item in best_first if item["id"] in never_found), None)
        if free:
            never_found.remove(free["id"])
            kinds[index] = FOUND
        else:
            overlap = max(overlaps, default=0)
            kinds[index] = DUPLICATE if overlap >= MATCHED else LOOSE_BOX if overlap >= LOOSE else BACKGROUND
    return kinds, never_found


def _map50(truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]]) -> float:
    """In percent, mean over classes, by pycocotools."""
    if not detections:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = dict(truth)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes([dict(item) for item in detections]), "bbox")
        evaluation.params.iouThrs = np.array([MATCHED])
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][0, :, :, 0, -1]  # at every recall, of every class, all areas
    return 100 * float(precision[precision > -1].mean())
