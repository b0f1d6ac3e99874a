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

from ms2a.artefacts import read_json
from ms2a.datasets.annotations import read_coco
from ms2a.datasets.check.sets import Options, check_set
from ms2a.datasets.evaluation import OneLimitEval, limits_for
from ms2a.datasets.findings import log_findings, refuse_errors
from ms2a.errors import UserError

FOUND = "found"
# What a detection is that finds no object: a second one of an object; beside one (IoU of LOOSE to MATCHED); on none.
DUPLICATE, LOOSE_BOX, BACKGROUND = "duplicate", "loose box", "background"
MISSED = "missed object"
KINDS = (DUPLICATE, LOOSE_BOX, BACKGROUND, MISSED)
MATCHED, LOOSE = 0.5, 0.1


def analyse_errors(
    ann_file: str | os.PathLike,
    detections: str | os.PathLike,
    domain: str | None = None,
    classes: Sequence[str] | None = None,
    img_root: str | os.PathLike | None = None,
    **options: Any,
) -> tuple[float, dict[str, float]]:
    """Takes each kind of error away, one at a time.

    Args:
        ann_file: COCO annotations of a test set.
        detections: COCO results of ``tools/test.py --out``.
        domain: whose detections count; needed if the results hold those of several test sets.
        classes: names of the detector's classes, if the annotations have others besides.
        img_root: the test set's image folder; None: pictures are not looked at.
        **options: of the check, see :class:`ms2a.datasets.check.sets.Options`.

    Returns:
        mAP50 in percent, and for each of :data:`KINDS` the points it would gain; without misses where nothing is found.

    Raises:
        UserError: a file is missing or not valid, there are no objects, no detections of the domain, or they are of
            other images, or a class is unknown.
    """
    truth = read_coco(ann_file)
    options = Options(classes=classes, needs_boxes=False, folder_option="--images", **options)
    checked = check_set(truth, img_root, options, str(ann_file))
    log_findings([finding for finding in checked.findings if finding.severity == "warning"], ann_file)
    refuse_errors(checked.findings, ann_file)
    if classes is not None:
        truth = restricted(truth, classes, ann_file)
    results = _of_domain(read_json(detections, "detections"), detections, domain)
    if strange := {item["image_id"] for item in results} - {image["id"] for image in truth["images"]}:
        raise UserError(f"{detections} has detections of image {min(strange)}, which is not in {ann_file}")
    known = {category["id"] for category in truth["categories"]}
    results = [item for item in results if item["category_id"] in known]
    if all(item.get("iscrowd") for item in truth["annotations"]):
        raise UserError(f"{ann_file} has no object{f' of the classes {list(classes)}' if classes else ''} to be found")
    return costs_of_errors(truth, results)


def costs_of_errors(truth: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> tuple[float, dict[str, float]]:
    """What :func:`analyse_errors` gives, for mended annotations and detections of their images and categories."""
    kinds, never_found = sort_detections(truth["annotations"], results)
    whole = _map50(truth, results)
    gains = {}
    for kind in (DUPLICATE, LOOSE_BOX, BACKGROUND):
        gains[kind] = _map50(truth, [item for item, own in zip(results, kinds, strict=True) if own != kind]) - whole
    if FOUND in kinds:  # else no object would be left
        found = [item for item in truth["annotations"] if item["id"] not in never_found]
        gains[MISSED] = _map50({**truth, "annotations": found}, results) - whole
    return whole, gains


def restricted(truth: dict[str, Any], classes: Sequence[str], ann_file: str | os.PathLike) -> dict[str, Any]:
    """The annotations of some classes.

    Raises:
        UserError: a class is not among the categories.
    """
    categories = [category for category in truth["categories"] if category["name"] in classes]
    if missing := set(classes) - {category["name"] for category in categories}:
        names = ", ".join(category["name"] for category in truth["categories"])
        raise UserError(f"{ann_file} has no class {', '.join(sorted(missing))}; it has {names}")
    known = {category["id"] for category in categories}
    annotations = [item for item in truth["annotations"] if item["category_id"] in known]
    return {**truth, "categories": categories, "annotations": annotations}


def _of_domain(results: Any, path: str | os.PathLike, domain: str | None) -> list[dict[str, Any]]:
    """The detections of one domain, all of them if no domain is named."""
    needed = {"image_id", "category_id", "bbox", "score"}
    if not isinstance(results, list) or not all(isinstance(item, dict) and needed <= set(item) for item in results):
        raise UserError(f"{path} is no list of COCO detections; `ms2a test --out FILE.json` writes one")
    domains = sorted({item["domain"] for item in results if "domain" in item})
    if domain is None and len(domains) > 1:
        raise UserError(f"{path} holds detections of {', '.join(domains)}; say whose with `domain`")
    chosen = [item for item in results if domain in (None, item.get("domain"))]
    if not chosen:
        raise UserError(f"{path} holds no detections{f' of domain {domain!r}' if domain else ''}")
    return chosen


def sort_detections(
    annotations: Sequence[Mapping[str, Any]], detections: Sequence[Mapping[str, Any]]
) -> tuple[list[str], set[int]]:
    """The kind of each detection, and the ids of the annotations that none of them finds."""
    matched = match_detections(annotations, detections)
    found = {annotation_id for _, annotation_id in matched}
    return [kind for kind, _ in matched], {
        item["id"] for item in annotations if not item.get("iscrowd") and item["id"] not in found
    }


def match_detections(
    annotations: Sequence[Mapping[str, Any]], detections: Sequence[Mapping[str, Any]]
) -> list[tuple[str, int | None]]:
    """The kind of each detection, and the id of the annotation that it finds.

    As in the COCO evaluation at IoU 0.5, detections choose by falling score; each takes the free object of its class
    that it covers best. So those above any score are matched alike with and without the others.
    """
    truth = defaultdict(list)
    for annotation in annotations:
        if not annotation.get("iscrowd"):
            truth[annotation["image_id"], annotation["category_id"]].append(annotation)
    taken: set[int] = set()
    matched: list[tuple[str, int | None]] = [("", None)] * len(detections)
    for index in sorted(range(len(detections)), key=lambda index: -detections[index]["score"]):
        detection = detections[index]
        objects = truth[detection["image_id"], detection["category_id"]]
        boxes = np.array([item["bbox"] for item in objects], float).reshape(-1, 4)
        overlaps = np.array(mask.iou(np.array([detection["bbox"]], float), boxes, [0] * len(boxes))).reshape(-1)
        best_first = [objects[number] for number in np.argsort(-overlaps) if overlaps[number] >= MATCHED]
        free = next((item["id"] for item in best_first if item["id"] not in taken), None)
        if free is not None:
            taken.add(free)
            matched[index] = FOUND, free
        else:
            overlap = max(overlaps, default=0)
            kind = DUPLICATE if overlap >= MATCHED else LOOSE_BOX if overlap >= LOOSE else BACKGROUND
            matched[index] = kind, None
    return matched


def coco_evaluation(
    truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], ious: Sequence[float] | None = None
) -> OneLimitEval:
    """Pycocotools' evaluation, done, without its printing.

    Args:
        truth: mended annotations in COCO's form.
        detections: at least one COCO result.
        ious: thresholds; None: COCO's ten.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = dict(truth)
        coco.createIndex()
        evaluation = OneLimitEval(coco, coco.loadRes([dict(item) for item in detections]), "bbox")
        if ious is not None:
            evaluation.params.iouThrs = np.array(ious)
        evaluation.params.maxDets = list(limits_for(len(detections)))
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _map50(truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]]) -> float:
    """In percent, mean over classes, by pycocotools."""
    if not detections:
        return 0.0
    precision = coco_evaluation(truth, detections, [MATCHED]).eval["precision"]
    precision = precision[0, :, :, 0, -1]  # at every recall, of every class, all areas
    return 100 * float(precision[precision > -1].mean())
