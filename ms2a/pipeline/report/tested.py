"""What a report says of test sets: scores of one or two detectors, and pictures with their boxes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmcv import Config

from ms2a.analysis.error_analysis import KINDS, restricted
from ms2a.analysis.report.advice import Tested
from ms2a.analysis.report.pictures import LOWEST_SCORE, choose_pictures, describe_boxes, encode_files, gain
from ms2a.analysis.report.scores import count_objects, score
from ms2a.artefacts import read_json
from ms2a.datasets.annotations import order_categories, read_coco
from ms2a.datasets.check.sets import Options, check_set
from ms2a.defaults import SCORE_THR
from ms2a.errors import warn
from ms2a.pipeline.stages import annotated_sets, set_paths
from ms2a.progress import Progress

BEFORE, AFTER = "before", "after"
# Of pictures that are not the target's, whose number analysis.report.pictures says.
OTHER_PICTURES = 40


@dataclass(frozen=True)
class TestSet:
    """A test set and what was detected on it.

    Attributes:
        domain: its name; empty where the config names none.
        truth: mended annotations in COCO's form of the detector's classes, in their order.
        folder: of the pictures.
        detections: COCO results of each run.
    """

    __test__ = False  # not a test case, whatever its name says to pytest

    domain: str
    truth: dict[str, Any]
    folder: Path
    detections: Mapping[str, Sequence[Mapping[str, Any]]]


def read_test_sets(config: Config, files: Mapping[str, Path]) -> list[TestSet]:
    """The test sets of a config, the target's first.

    Args:
        config: whose ``data.test``.
        files: detections as ``tools/test.py --out`` writes them, by the name of the run.

    Raises:
        UserError: annotations or detections cannot be read.
    """
    results = {run: _finite(read_json(path, "detections"), path) for run, path in files.items()}
    sets = []
    for item in annotated_sets(config.data.test):
        paths = set_paths(item)
        truth = read_coco(paths.ann_file)
        classes = item.get("classes") or [category["name"] for category in truth["categories"]]
        order_categories(truth, classes, paths.ann_file)
        truth = check_set(truth, paths.folder, Options(classes=classes, needs_boxes=False), str(paths.ann_file)).coco
        truth = restricted(truth, classes, paths.ann_file)
        domain = item.get("domain") or ""
        found = {run: [one for one in own if one.get("domain", "") == domain] for run, own in results.items()}
        sets.append(TestSet(domain, truth, paths.folder, found))
    return sets


def _finite(detections: Sequence[Mapping[str, Any]], path: Path) -> list[Mapping[str, Any]]:
    """Without boxes that overlap nothing: a detector that was trained badly may give some that are not finite."""
    kept = [item for item in detections if np.isfinite([*item["bbox"], item["score"]]).all()]
    if len(kept) < len(detections):
        warn(f"{len(detections) - len(kept)} of {len(detections)} detections in {path} are not finite and left out")
    return kept


def score_sets(sets: Sequence[TestSet]) -> list[Tested]:
    """The scores of each set."""
    jobs = [(own, run) for own in sets for run in own.detections]
    scores = {}
    for own, run in Progress(jobs, desc="scores", unit="test", leave=False, delay=2):
        scores[own.domain, run] = score(own.truth, own.detections[run])
    return [
        Tested(own.domain, count_objects(own.truth), scores.get((own.domain, BEFORE)), scores[own.domain, AFTER])
        for own in sets
    ]


def gallery(sets: Sequence[TestSet], bit_depth: int | None) -> dict[str, Any]:
    """Pictures and boxes, as the page's script takes them, and how many are missing.

    Returns:
        ``pictures``, each with ``name``, ``domain``, ``src``, ``size`` and what
        :func:`~ms2a.analysis.report.pictures.describe_boxes` gives; ``classes`` by domain; ``totals``, pictures of
        each domain; ``unreadable``; ``kinds``, ``runs``, ``lowest`` and ``score_thr``.
    """
    chosen = []
    for number, own in enumerate(sets):
        boxes = describe_boxes(own.truth, own.detections)
        gains = [gain(item, BEFORE, AFTER, SCORE_THR) if BEFORE in own.detections else 0.0 for item in boxes]
        limit = {} if number == 0 else {"count": OTHER_PICTURES}
        chosen += [(own, own.truth["images"][index], boxes[index]) for index in choose_pictures(gains, **limit)]
    files = encode_files([own.folder / image["file_name"] for own, image, _ in chosen], len(chosen), bit_depth)
    pictures, unreadable = [], 0
    for (own, image, boxes), file in zip(
        chosen, Progress(files, total=len(chosen), desc="pictures", unit="picture", leave=False, delay=2), strict=True
    ):
        if file is None:
            unreadable += 1
        else:
            pictures.append({"name": image["file_name"], "domain": own.domain, **file, **boxes})
    return {
        "pictures": pictures,
        "classes": {own.domain: [category["name"] for category in own.truth["categories"]] for own in sets},
        "totals": {own.domain: len(own.truth["images"]) for own in sets},
        "unreadable": unreadable,
        "kinds": list(KINDS),
        "runs": [run for run in (BEFORE, AFTER) if sets and run in sets[0].detections],
        "lowest": LOWEST_SCORE,
        "score_thr": SCORE_THR,
    }
