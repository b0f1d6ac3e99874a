"""Objects of one domain pasted into the pictures of all, at places and sizes of their own."""

from typing import Any

import mmcv
import numpy as np
from mmdet.datasets import PIPELINES

from ms2a.datasets.cross_domain_mix import DomainPool
from ms2a.datasets.transforms import whole_pixels
from ms2a.errors import UserError

# How much of an annotated object, or of the pasted one where that is smaller, may be covered.
MOST_COVERED = 0.2
# Places that are tried for an object.
TRIES = 10
# Of the pasted object's shorter side; so wide is the edge that fades into the picture.
EDGE = 0.08
SMALLEST = 4  # pixels


@PIPELINES.register_module()
class PasteObjects:
    """Pastes objects of a domain's pictures into a picture, cut out by their boxes, with edges that fade.

    In the frame an object is about as large as in its own picture; it may be mirrored.

    Source: Dwibedi 2017, "Cut, Paste and Learn: Surprisingly Easy Synthesis for Instance Detection".

    Args:
        domain: whose objects are pasted.
        img_scale: height and width of the frame in pixels.
        prob: share of the pictures that objects are pasted into.
        most: objects a picture gets, 1 to so many.
        scale_range: how much larger or smaller an object becomes.

    Raises:
        UserError: ``prob`` is no share, ``most`` no whole number above 0, or no picture is of the domain.
    """

    def __init__(
        self,
        domain: str,
        img_scale: tuple[int, int],
        prob: float = 0.5,
        most: int = 2,
        scale_range: tuple[float, float] = (0.7, 1.3),
    ) -> None:
        if not isinstance(prob, int | float) or not 0 <= prob <= 1:
            raise UserError(f"PasteObjects(prob={prob!r}): expected a share from 0 to 1")
        if not isinstance(most, int) or most < 1:
            raise UserError(f"PasteObjects(most={most!r}): expected a whole number, 1 or more")
        self.domain = domain
        self.frame_hw = tuple(img_scale)
        self.prob = prob
        self.most = most
        self.scale_range = scale_range

    def get_indexes(self, dataset: DomainPool) -> list[int]:
        """The pictures of the domain that objects are taken from, one each."""
        own = dataset.indexes_of(self.domain)
        if not len(own):
            raise UserError(f"PasteObjects(domain={self.domain!r}): domains are {', '.join(dataset.names)}")
        if np.random.rand() >= self.prob:
            return []
        return np.random.choice(own, np.random.randint(1, self.most + 1)).tolist()

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pastes an object of each of ``results["mix_results"]`` into ``results["img"]``, uint8 (H, W, 3)."""
        for partner in results["mix_results"]:
            if len(partner["gt_bboxes"]):
                self._paste(results, partner, np.random.randint(len(partner["gt_bboxes"])))
        return results

    def _paste(self, results: dict, partner: dict, number: int) -> None:
        img, (height, width) = results["img"], results["img"].shape[:2]
        cut, box = self._cut_out(partner, number, _fit((height, width), self.frame_hw))
        if cut.shape[0] >= height or cut.shape[1] >= width:
            return
        room = (width - cut.shape[1], height - cut.shape[0])
        for _ in range(TRIES):
            left, top = np.random.randint(room[0]), np.random.randint(room[1])
            placed = box + np.float32([left, top, left, top])
            if not _covers(placed, results["gt_bboxes"]):
                results["img"] = _blended(img, cut, left, top)
                results["gt_bboxes"] = np.concatenate([results["gt_bboxes"].reshape(-1, 4), placed[None]])
                label = partner["gt_labels"][number : number + 1]
                results["gt_labels"] = np.concatenate([results["gt_labels"], label])
                return

    def _cut_out(self, partner: dict, number: int, fit: float) -> tuple[np.ndarray, np.ndarray]:
        """An object as it is pasted into a picture that ``fit`` brings into the frame, and its box (4,) in there."""
        img, box = partner["img"], partner["gt_bboxes"][number]
        x1, y1, x2, y2 = whole_pixels(box[None], img.shape[:2])[0]
        factor = np.random.uniform(*self.scale_range) * _fit(img.shape[:2], self.frame_hw) / fit
        size = np.maximum(np.rint(np.array([x2 - x1, y2 - y1]) * factor), SMALLEST).astype(int)
        cut = mmcv.imresize(img[y1:y2, x1:x2], tuple(size.tolist()))
        box = (box - [x1, y1, x1, y1]) * np.tile(size / [x2 - x1, y2 - y1], 2)
        if np.random.rand() < 0.5:
            cut, box = cut[:, ::-1], np.array([size[0] - box[2], box[1], size[0] - box[0], box[3]])
        return cut, box.astype(np.float32)


def _fit(size_hw: tuple[int, int], frame_hw: tuple[int, int]) -> float:
    """What brings a picture of a size into the frame."""
    return min(frame_hw[0] / size_hw[0], frame_hw[1] / size_hw[1])


def _covers(box: np.ndarray, others: np.ndarray) -> bool:
    """Whether a box (4,) hides too much of one of the others (N, 4), or lies too much on it."""
    if not len(others):
        return False
    both = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    sides = others[:, 2:] - others[:, :2]
    smaller = np.minimum(sides.prod(axis=1), (box[2:] - box[:2]).prod())
    return bool((np.maximum(both, 0).prod(axis=1) > MOST_COVERED * smaller).any())


def _blended(img: np.ndarray, cut: np.ndarray, left: int, top: int) -> np.ndarray:
    """A copy of an image with a part pasted over it that fades in over its edge."""
    height, width = cut.shape[:2]
    edge = max(1, int(EDGE * min(height, width)))
    rows, columns = (np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)) / edge for side in (height, width))
    share = np.minimum(np.minimum(rows[:, None], columns[None]), 1)[..., None]
    blended = img.copy()
    place = blended[top : top + height, left : left + width]
    place[:] = np.rint(share * cut + (1 - share) * place)
    return blended
