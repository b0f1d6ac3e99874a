"""COCO's evaluation with one limit of detections for all average precisions."""

from pycocotools.cocoeval import COCOeval

LIMITS = (100, 300, 1000)
"""Numbers of detections of a picture that mmdet's recalls are taken at; precisions at the last."""


def limits_for(most_detections: int) -> tuple[int, ...]:
    """The limits, the last of them no smaller than the number of detections that a picture may have."""
    return (*LIMITS[:-1], max(LIMITS[-1], most_detections))


class OneLimitEval(COCOeval):
    """pycocotools' evaluation, with every average precision taken at the largest limit.

    pycocotools takes mAP at 100 detections a picture and mAP50 at the largest limit, so that a picture of more objects
    has the one far below the other.
    """

    def accumulate(self, p=None) -> None:
        """As in pycocotools; then every limit shows the precision at the largest."""
        super().accumulate(p)
        precision = self.eval["precision"]  # (IoU, recall, class, area, limit)
        precision[...] = precision[..., -1:]
