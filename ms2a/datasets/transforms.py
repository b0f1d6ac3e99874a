"""Mixing transforms that choose their partner images by domain, and resizing into a frame."""

from typing import Any

import mmcv
import numpy as np
from mmdet.core import BitmapMasks
from mmdet.datasets import PIPELINES
from mmdet.datasets.pipelines import CopyPaste, Mosaic, Resize

from ms2a.datasets.cross_domain_mix import DomainPool
from ms2a.errors import UserError


@PIPELINES.register_module()
class FitResize(Resize):
    """mmdet's Resize, keeping the ratio, into a frame of (height, width).

    mmdet takes a pair for the long and the short edge, so that a tall image would stick out of a wide frame.

    Args:
        img_scale: height and width of the frame in pixels; None where ``MultiScaleFlipAug`` gives it.
    """

    def __init__(self, img_scale: tuple[int, int] | None = None) -> None:
        super().__init__(img_scale=img_scale, keep_ratio=True)

    def _resize_img(self, results: dict) -> None:
        height, width = results["img"].shape[:2]
        results["scale"] = min(results["scale"][0] / height, results["scale"][1] / width)
        super()._resize_img(results)


@PIPELINES.register_module()
class SameDomainMosaic(Mosaic):
    """mmdet's Mosaic with all four images from one domain.

    In a data set of one domain it is mmdet's Mosaic.
    """

    def get_indexes(self, dataset: Any) -> list[int]:
        """Three images of the domain being drawn."""
        if not isinstance(dataset, DomainPool):
            return super().get_indexes(dataset)
        return np.random.choice(dataset.own_indexes, 3).tolist()


class BoxMasks(BitmapMasks):
    """Boxes as their own masks, (N, H, W) uint8, that keep the exact coordinates of boxes nothing was pasted over.

    Args:
        boxes_xyxy: (N, 4) float32 in pixels.
        size_hw: height and width of the image.
    """

    def __init__(self, boxes_xyxy: np.ndarray, size_hw: tuple[int, int]) -> None:
        # Not the parent's constructor, which copies masks: a hundred milliseconds for thirty boxes in a large image.
        self.height, self.width = size_hw
        self.masks = np.zeros((len(boxes_xyxy), *size_hw), dtype=np.uint8)
        inside = np.maximum(boxes_xyxy, 0)
        outer = np.concatenate([np.floor(inside[:, :2]), np.ceil(inside[:, 2:])], axis=1).astype(int)
        for mask, (x1, y1, x2, y2) in zip(self.masks, outer, strict=True):
            mask[y1:y2, x1:x2] = 1
        self._boxes_xyxy = boxes_xyxy

    def get_bboxes(self) -> np.ndarray:
        """Bounding boxes of what is visible, (N, 4) float32: to the pixel where a side was covered, else exact."""
        visible = super().get_bboxes()
        return np.where(np.abs(visible - self._boxes_xyxy) < 1, self._boxes_xyxy, visible)


@PIPELINES.register_module()
class CrossDomainCopyPaste(CopyPaste):
    """mmdet's CopyPaste with the partner from another domain, for box-only annotations too.

    The partner is resized with its ratio kept and padded to the size of the canvas. Where there are no instance masks a
    box is its own mask. Masks are dropped afterwards: the mixing transforms that follow handle boxes only.
    """

    def get_indexes(self, dataset: Any) -> int:
        """One image of a domain other than the one being drawn."""
        if not isinstance(dataset, DomainPool):
            raise UserError("CrossDomainCopyPaste needs CrossDomainMixDataset, which knows the domains")
        return int(np.random.choice(dataset.other_indexes))

    def gen_masks_from_bboxes(self, bboxes: np.ndarray, img_shape: tuple[int, ...]) -> BitmapMasks:
        """A box is its own mask."""
        self.paste_by_box = True
        return BoxMasks(bboxes, img_shape[:2])

    def __call__(self, results: dict) -> dict:
        """Pastes objects of ``results["mix_results"][0]`` into the image."""
        dtype, size_hw = results["img"].dtype, results["img"].shape[:2]
        for partner in results["mix_results"]:
            _fit(partner, size_hw)
        results = super().__call__(results)
        # The stock paste multiplies by an integer mask, which widens the type of the image.
        results["img"] = results["img"].astype(dtype, copy=False)
        results.pop("gt_masks", None)
        results["mask_fields"] = []
        return results


def _fit(partner: dict, size_hw: tuple[int, int]) -> None:
    """Resizes image, boxes and masks keeping the ratio, then pads at the right and the bottom to ``size_hw``."""
    height, width = partner["img"].shape[:2]
    if (height, width) == size_hw:
        return
    scale = min(size_hw[0] / height, size_hw[1] / width)
    new_hw = (max(round(height * scale), 1), max(round(width * scale), 1))
    image = mmcv.imresize(partner["img"], new_hw[::-1])
    partner["img"] = mmcv.impad(image, shape=size_hw, pad_val=0)
    factors = np.array([new_hw[1] / width, new_hw[0] / height] * 2, dtype=np.float32)
    partner["gt_bboxes"] = partner["gt_bboxes"] * factors
    if "gt_masks" in partner:
        partner["gt_masks"] = partner["gt_masks"].resize(new_hw).pad(size_hw)
