"""A picture sheet: detections before and after adaptation beside the ground truth."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ms2a.analysis.detections import draw_detections
from ms2a.analysis.pictures import write_picture
from ms2a.artefacts import read_json
from ms2a.datasets.annotations import read_coco
from ms2a.datasets.boxes import as_xyxy
from ms2a.datasets.check.sets import Options, check_set
from ms2a.datasets.load_picture import read_picture
from ms2a.errors import UserError, warn

COLUMNS = ("before: source only", "after: MS2A", "ground truth")
CAPTION_HEIGHT, GAP, BACKGROUND = 28, 4, 255


def comparison_sheet(
    test_set: Mapping[str, Any],
    before: str | Path,
    after: str | Path,
    out_file: str | Path,
    num_images: int = 6,
    score_thr: float = 0.5,
    width: int = 480,
    bit_depth: int | None = None,
) -> None:
    """Writes the sheet, one row per image. The images are evenly spaced in the test set, not picked.

    Args:
        test_set: config of the target's test set.
        before: COCO results of ``tools/test.py --out``, of the source-only detector.
        after: the same of the adapted one.
        out_file: picture to write.
        num_images: rows.
        score_thr: boxes with lower scores are left out.
        width: of one picture, in pixels.
        bit_depth: see :func:`ms2a.datasets.load_picture.read_picture`.
    """
    root = Path(test_set.get("data_root") or ".")
    coco = read_coco(root / test_set["ann_file"])
    classes = list(test_set["classes"])
    check_set(coco, root / test_set["img_prefix"], Options(classes=classes))  # mends the boxes
    category_ids = {category["name"]: category["id"] for category in coco["categories"]}
    label_of = {category_ids[name]: label for label, name in enumerate(classes)}
    truth = [dict(annotation, score=1.0) for annotation in coco["annotations"]]
    columns = [_by_image(truth, label_of)]
    for path in (before, after):
        results = [item for item in read_json(path, "detections") if item["domain"] == test_set["domain"]]
        columns.insert(-1, _by_image(results, label_of))

    chosen = np.linspace(0, len(coco["images"]) - 1, min(num_images, len(coco["images"]))).round().astype(int)
    rows = [_captions(width, score_thr)]
    for index in chosen:
        info = coco["images"][index]
        try:
            image = read_picture(root / test_set["img_prefix"] / info["file_name"], bit_depth)
        except UserError as error:
            warn(f"{error}; {out_file} leaves it out")
            continue
        found = [column[info["id"]] for column in columns]
        pictures = [draw_detections(image, boxes, classes, score_thr) for boxes in found[:-1]]
        pictures.append(draw_detections(image, found[-1], classes, with_scores=False))
        height = max(round(width * image.shape[0] / image.shape[1]), 1)
        pictures = [cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) for picture in pictures]
        rows.append(_beside(pictures))
    separated = [part for row in rows for part in (row, np.full((GAP, row.shape[1], 3), BACKGROUND, np.uint8))]
    write_picture(np.vstack(separated[:-1]), out_file)


def _by_image(results: Sequence[Mapping], label_of: Mapping[int, int]) -> Mapping[int, list[np.ndarray]]:
    """Image id → for each class (N, 5): x1, y1, x2, y2, score."""
    boxes = defaultdict(lambda: [[] for _ in label_of])
    for item in results:
        if item["category_id"] in label_of:
            boxes[item["image_id"]][label_of[item["category_id"]]].append([*as_xyxy(item["bbox"]), item["score"]])
    empty = [np.zeros((0, 5)) for _ in label_of]
    arrays = {image: [np.reshape(part, (-1, 5)) for part in parts] for image, parts in boxes.items()}
    return defaultdict(lambda: empty, arrays)


def _captions(width: int, score_thr: float) -> np.ndarray:
    captions = []
    *found, truth = COLUMNS
    for text in (*(f"{column}, score >= {score_thr:g}" for column in found), truth):
        caption = np.full((CAPTION_HEIGHT, width, 3), BACKGROUND, np.uint8)
        cv2.putText(caption, text, (4, CAPTION_HEIGHT - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 1, cv2.LINE_AA)
        captions.append(caption)
    return _beside(captions)


def _beside(pictures: Sequence[np.ndarray]) -> np.ndarray:
    gap = np.full((pictures[0].shape[0], GAP, 3), BACKGROUND, np.uint8)
    return np.hstack([part for picture in pictures for part in (picture, gap)][:-1])
