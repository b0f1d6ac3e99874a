"""What a detector finds in one picture."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from ms2a.analysis.detections import draw_detections
from ms2a.apis.pictures import as_bgr
from ms2a.datasets.boxes import as_xywh
from ms2a.datasets.load_picture import read_picture
from ms2a.errors import UserError


@dataclass(frozen=True)
class Result:
    """The detections of one picture, by falling score.

    Attributes:
        boxes_xyxy: (N, 4) float32, left, top, right, bottom in pixels of the picture as it was given.
        scores: (N,) float32 in 0–1.
        labels: (N,) int64, positions in ``classes``.
        classes: the detector's class names.
        domain: whose memory was read; None for a detector without memory.
        size_hw: height and width of the picture in pixels.
        path: the picture's file, where it was given by that.
        bit_depth: significant bits of that file, see :class:`ms2a.datasets.load_picture.LoadPicture`.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    domain: str | None
    size_hw: tuple[int, int]
    path: str | None = None
    bit_depth: int | None = None

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def names(self) -> list[str]:
        """The class name of each detection."""
        return [self.classes[label] for label in self.labels]

    def by_class(self) -> list[np.ndarray]:
        """Mmdet's result format: for each class (N, 5) float32, x1, y1, x2, y2 and score."""
        rows = np.c_[self.boxes_xyxy, self.scores].astype(np.float32)
        return [rows[self.labels == label] for label in range(len(self.classes))]

    def draw(self, image: Any = None, score_thr: float = 0.0) -> np.ndarray:
        """Draws boxes, class names and scores.

        Args:
            image: the picture, in any form that the detector takes; None: the file that was given. It is not changed.
            score_thr: boxes with lower scores are left out.

        Returns:
            (H', W', 3) uint8, BGR; a small picture is enlarged by a whole factor, so that labels can be read.

        Raises:
            UserError: the picture was not given by a file and is not given here, or has another size.
        """
        if image is None and self.path is None:
            raise UserError("the picture was not given by a file: give it again, result.draw(image)")
        picture = read_picture(self.path, self.bit_depth) if image is None else as_bgr(image)
        if picture.shape[:2] != self.size_hw:
            raise UserError(
                f"the picture is of size {picture.shape[:2]}, the detections of {self.size_hw}; both (H, W)"
            )
        return draw_detections(picture, self.by_class(), self.classes, score_thr)

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dictionary a detection of plain values: ``name``, ``label``, ``score``, ``box_xyxy``."""
        return [
            dict(name=name, label=int(label), score=float(score), box_xyxy=[float(side) for side in box])
            for name, label, score, box in zip(self.names, self.labels, self.scores, self.boxes_xyxy, strict=True)
        ]

    def to_coco(self, image_id: int | str | os.PathLike = 1, first_id: int = 1) -> list[dict[str, Any]]:
        """One COCO annotation a detection, with its score; the category of class i is i + 1.

        Args:
            image_id: id of the picture.
            first_id: id of the first annotation; the others count up.
        """
        annotations = []
        for number, (box, label, score) in enumerate(zip(self.boxes_xyxy, self.labels, self.scores, strict=True)):
            bbox = as_xywh([float(side) for side in box])
            annotation = dict(id=first_id + number, image_id=image_id, category_id=int(label) + 1)
            annotation |= dict(bbox=bbox, area=bbox[2] * bbox[3], iscrowd=0)
            annotations.append(annotation | dict(score=float(score)))
        return annotations

    def to_supervision(self) -> Any:
        """The detections as a ``supervision.Detections``, with ``class_name`` in its data.

        Raises:
            UserError: supervision is not installed.
        """
        try:
            import supervision
        except ImportError:
            raise UserError("supervision is not installed; run: pip install supervision") from None
        return supervision.Detections(
            xyxy=self.boxes_xyxy,
            confidence=self.scores,
            class_id=self.labels,
            data={"class_name": np.array(self.names, dtype=str)},
        )
