"""Mixing transforms that choose their partner images by domain, and resizing into a frame."""

import math
from typing import Any

import cv2
import mmcv
import numpy as np
from mmdet.core import BitmapMasks
from mmdet.datasets import PIPELINES
from mmdet.datasets.pipelines import CopyPaste, Mosaic, Resize, YOLOXHSVRandomAug

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
        scale = min(results["scale"][0] / height, results["scale"][1] / width)
        # What is thinner would round to nothing.
        thin = math.ceil(0.5 / scale + 1e-6)
        if min(height, width) < thin:
            results["img"] = mmcv.imresize(results["img"], (max(width, thin), max(height, thin)))
        results["scale"] = scale
        super()._resize_img(results)
        new_height, new_width = results["img"].shape[:2]
        results["scale_factor"] = np.array([new_width / width, new_height / height] * 2, dtype=np.float32)


@PIPELINES.register_module()
class HSVShift(YOLOXHSVRandomAug):
    """mmdet's ``YOLOXHSVRandomAug``, the same draws and the same pixels, by tables of 256 values.

    mmdet computes in 16 bits, pixel by pixel.
    """

    def __call__(self, results: dict) -> dict:
        """Shifts hue, saturation and value of an (H, W, 3) uint8 image, blue first."""
        shifts = np.random.uniform(-1, 1, 3) * [self.hue_delta, self.saturation_delta, self.value_delta]
        hue, saturation, value = (shifts * np.random.randint(0, 2, 3)).astype(np.int16)
        values = np.arange(256, dtype=np.int16)
        moved = [(values + hue) % 180, np.clip(values + saturation, 0, 255), np.clip(values + value, 0, 255)]
        table = np.stack(moved, axis=-1).astype(np.uint8)[None]
        hsv = cv2.cvtColor(results["img"], cv2.COLOR_BGR2HSV)
        results["img"] = cv2.cvtColor(cv2.LUT(hsv, table), cv2.COLOR_HSV2BGR)
        return results


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
    box is its own mask, which takes arithmetic of boxes and one map of what is pasted over, not a mask a box. Masks are
    dropped afterwards: the mixing transforms that follow handle boxes only.
    """

    def get_indexes(self, dataset: Any) -> int:
        """One image of a domain other than the one being drawn."""
        if not isinstance(dataset, DomainPool):
            raise UserError("CrossDomainCopyPaste needs CrossDomainMixDataset, which knows the domains")
        return int(np.random.choice(dataset.other_indexes))

    def gen_masks_from_bboxes(self, bboxes: np.ndarray, img_shape: tuple[int, ...]) -> np.ndarray:
        """A box is its own mask: (N, 4) float32 stands for N masks."""
        self.paste_by_box = True
        return bboxes

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

    def _copy_paste(self, dst_results: dict, src_results: dict) -> dict:
        sides = (dst_results, src_results)
        if all(isinstance(side["gt_masks"], np.ndarray) for side in sides):
            return self._paste_boxes(*sides)
        for side in sides:
            if isinstance(side["gt_masks"], np.ndarray):
                side["gt_masks"] = BoxMasks(side["gt_masks"], side["img"].shape[:2])
        return super()._copy_paste(*sides)

    def _paste_boxes(self, canvas: dict, partner: dict) -> dict:
        """The parent's paste where every mask is a box."""
        image, boxes, pasted = canvas["img"].copy(), canvas["gt_bboxes"], partner["gt_bboxes"]
        covered = np.zeros(image.shape[:2], dtype=bool)
        for x1, y1, x2, y2 in whole_pixels(pasted, covered.shape).tolist():
            image[y1:y2, x1:x2] = partner["img"][y1:y2, x1:x2]
            covered[y1:y2, x1:x2] = True
        visible, areas = _visible_parts(boxes, covered)
        little_changed = np.all(np.abs(visible - boxes) <= self.bbox_occluded_thr, axis=-1)
        kept = (areas > 0) & (little_changed | (areas > self.mask_occluded_thr))
        canvas["img"] = image
        canvas["gt_bboxes"] = np.concatenate([visible[kept], pasted])
        canvas["gt_labels"] = np.concatenate([canvas["gt_labels"][kept], partner["gt_labels"]])
        return canvas


def whole_pixels(boxes_xyxy: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """The pixels that boxes touch, (N, 4) int64 x1 y1 x2 y2, inside the image."""
    limits = [size_hw[1], size_hw[0]] * 2
    outer = np.concatenate([np.floor(boxes_xyxy[:, :2]), np.ceil(boxes_xyxy[:, 2:])], axis=1)
    return np.clip(outer, 0, limits).astype(int)


def _visible_parts(boxes_xyxy: np.ndarray, covered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is left of boxes in a partly covered image.

    Args:
        boxes_xyxy: (N, 4) float32 in pixels.
        covered: (H, W) bool.

    Returns:
        the bounding boxes of what is visible, (N, 4) float32, to the pixel where a side was covered, else exact; and
        how many pixels that is, (N,) int64.
    """
    found = whole_pixels(boxes_xyxy, covered.shape)
    areas = (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
    for number, (x1, y1, x2, y2) in enumerate(found.tolist()):
        hidden = covered[y1:y2, x1:x2]
        areas[number] -= np.count_nonzero(hidden)
        if 0 < areas[number] < hidden.size:
            columns, rows = (np.flatnonzero(~hidden.all(axis=axis)) for axis in (0, 1))
            found[number] = x1 + columns[0], y1 + rows[0], x1 + columns[-1] + 1, y1 + rows[-1] + 1
    found = found.astype(np.float32)
    return np.where(np.abs(found - boxes_xyxy) < 1, boxes_xyxy, found), areas


def _fit(partner: dict, size_hw: tuple[int, int]) -> None:
    """Resizes image, boxes and masks keeping the ratio, then pads at the right and the bottom to ``size_hw``."""
    height, width = partner["img"].shape[:2]
    if (height, width) == size_hw:
        return
    scale = min(size_hw[0] / height, size_hw[1] / width)
    new_hw = (max(round(height * scale), 1), max(round(width * scale), 1))
    partner["img"] = mmcv.imresize(partner["img"], new_hw[::-1])
    factors = np.array([new_hw[1] / width, new_hw[0] / height] * 2, dtype=np.float32)
    partner["gt_bboxes"] = partner["gt_bboxes"] * factors
    if new_hw != size_hw:
        partner["img"] = mmcv.impad(partner["img"], shape=size_hw, pad_val=0)
    if "gt_masks" in partner:
        partner["gt_masks"] = partner["gt_masks"].resize(new_hw).pad(size_hw)
