"""Which of a teacher's boxes become labels: thresholds that follow the annotated images, and a memory of objects."""

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou, roi_align

STRIDES = (8, 16, 32)
# A box counts as background where it overlaps every object by less.
LEAST_OVERLAP = 0.1


class MatchedThresholds:
    """A threshold a class, such that as many boxes of an image are believed as annotated images hold objects.

    Source: Chen 2022, "Label Matching Semi-Supervised Object Detection". The scores are those of the last images, and
    are not kept in checkpoints.

    Args:
        share: of the objects that are expected.
        floor: lowest threshold, in 0–1.
        window: how many images are remembered.
    """

    def __init__(self, share: float, floor: float, window: int = 64) -> None:
        self.share = share
        self.floor = floor
        self._scores: deque[list[np.ndarray]] = deque(maxlen=window)

    def __call__(self, found: Sequence[Sequence[np.ndarray]], expected: Sequence[float]) -> np.ndarray:
        """The thresholds after more images.

        Args:
            found: for each image and class boxes and scores (M, 5).
            expected: objects of each class in an annotated image, on average.

        Returns:
            float64, one a class.
        """
        self._scores.extend([boxes[:, 4] for boxes in image] for image in found)
        return np.array([self._threshold(number, count) for number, count in enumerate(expected)])

    def _threshold(self, number: int, count: float) -> float:
        scores = np.sort(np.concatenate([image[number] for image in self._scores]))[::-1]
        wanted = round(self.share * count * len(self._scores))
        if not wanted:
            return np.inf
        return max(self.floor, float(scores[wanted - 1]) if wanted <= len(scores) else 0.0)


def box_vectors(maps: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
    """What the neck's maps hold inside boxes: their means, of length 1 at each level, one level after the other.

    Args:
        maps: (B, C, H_l, W_l) at :data:`STRIDES`.
        boxes: for each image (N, 4) in pixels.

    Returns:
        (sum of N, levels · C).
    """
    levels = [
        roi_align(level.float(), list(boxes), output_size=1, spatial_scale=1 / stride, sampling_ratio=4, aligned=True)
        for level, stride in zip(maps, STRIDES, strict=True)
    ]
    return torch.cat([F.normalize(level.flatten(1), dim=1) for level in levels], dim=1)


def background_boxes(boxes: Tensor, size_hw: Sequence[int], tries: int = 4) -> Tensor:
    """Boxes of the objects' sizes at random places without an object.

    Args:
        boxes: objects of an image, (N, 4) in pixels.
        size_hw: of the image.
        tries: boxes that are drawn for each object.

    Returns:
        (M, 4), M at most ``tries`` · N.
    """
    sizes = (boxes[:, 2:] - boxes[:, :2]).repeat(tries, 1)
    room = (boxes.new_tensor([size_hw[1], size_hw[0]]) - sizes).clamp(min=0)
    corners = torch.rand_like(room) * room
    drawn = torch.cat([corners, corners + sizes], dim=1)
    free = (box_iou(drawn, boxes) < LEAST_OVERLAP).all(dim=1)
    return drawn[free]
