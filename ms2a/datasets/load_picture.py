"""Reading a picture as the network, and every drawing, is to see it: upright, three channels, 8 bits."""

import os
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from mmdet.datasets import PIPELINES
from mmdet.datasets.pipelines import LoadImageFromFile, LoadImageFromWebcam

from ms2a.datasets.readable import decoded, unreadable
from ms2a.errors import UserError

HIDDEN = 114  # what padding and Mosaic are filled with
COLOUR = "color"
DEEP_COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
"""OpenCV's flags for three channels of the bits that a file has; like mmcv's "color" it turns pictures by their tag."""


def check_bit_depth(bit_depth: int | None) -> int | None:
    """Returns a number of significant bits if it can be one.

    Raises:
        UserError: it is neither None nor a whole number from 8 to 16.
    """
    if bit_depth is not None and (type(bit_depth) is not int or not 8 <= bit_depth <= 16):
        raise UserError(f"bit_depth is {bit_depth!r}, expected a whole number from 8 to 16")
    return bit_depth


def to_8_bits(image: np.ndarray, bit_depth: int) -> np.ndarray:
    """Scales a picture of 16 bits, of which only the lower ``bit_depth`` are used, to 8 bits; others stay.

    The scale is the same for every picture: a stretch of each would hide how bright it is.

    Args:
        image: uint16 or uint8, any shape.
        bit_depth: 8–16; larger values become white.

    Returns:
        uint8 of the same shape.

    Raises:
        UserError: pixels are neither 8 nor 16 bits.
    """
    if image.dtype == np.uint8:
        return image
    if image.dtype != np.uint16:
        raise UserError(f"a picture's pixels are {image.dtype}, expected 8 or 16 bits; save it anew")
    return np.minimum(image >> (bit_depth - 8), 255).astype(np.uint8)


def read_picture(path: str | os.PathLike, bit_depth: int | None = None) -> np.ndarray:
    """Reads a picture.

    Args:
        path: the file.
        bit_depth: significant bits of 16-bit pictures, see :func:`to_8_bits`; None: all 16.

    Returns:
        (H, W, 3) uint8, BGR, turned upright by its rotation tag.

    Raises:
        UserError: the picture is missing or unreadable.
    """
    image = decoded(path, COLOUR if bit_depth is None else DEEP_COLOUR)
    if image is None:
        raise unreadable(path)
    return image if bit_depth is None else to_8_bits(image, bit_depth)


def hide_ignored(image: np.ndarray, ann_info: Mapping[str, Any]) -> None:
    """Covers regions to be ignored with the grey of padding, in place, except where an object's box is.

    mmdet's YOLOX knows no region to leave out, and would be punished for what it finds there.

    Args:
        image: (H, W, 3) uint8.
        ann_info: mmdet's ``bboxes`` and ``bboxes_ignore``, (N, 4) corners in pixels.
    """
    hidden = np.zeros(image.shape[:2], bool)
    for boxes, hide in ((ann_info["bboxes_ignore"], True), (ann_info["bboxes"], False)):
        outer = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1).astype(int)
        for x1, y1, x2, y2 in np.maximum(outer, 0):
            hidden[y1:y2, x1:x2] = hide
    image[hidden] = HIDDEN


@PIPELINES.register_module()
class LoadPicture(LoadImageFromFile):
    """mmdet's ``LoadImageFromFile`` for pictures of 8 bits, and of 16 of which some are used.

    In training, regions to be ignored are hidden, see :func:`hide_ignored`.

    Args:
        bit_depth: significant bits of 16-bit pictures, see :func:`to_8_bits`; None: all 16.

    Raises:
        UserError: the number cannot be one of bits.
    """

    def __init__(self, bit_depth: int | None = None) -> None:
        self.bit_depth = check_bit_depth(bit_depth)
        super().__init__(color_type=COLOUR if bit_depth is None else DEEP_COLOUR)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Adds what ``LoadImageFromFile`` adds."""
        results = super().__call__(results)
        if self.bit_depth is not None:
            results["img"] = to_8_bits(results["img"], self.bit_depth)
        if len(results.get("ann_info", {}).get("bboxes_ignore", ())):
            hide_ignored(results["img"], results["ann_info"])
        return results


@PIPELINES.register_module(name="LoadImageFromWebcam", force=True)
class LoadGivenPicture(LoadImageFromWebcam):
    """What mmdet's ``inference_detector`` puts in the place of a test pipeline's first step when it is given an array.

    mmdet keeps the step's other arguments, and changes the detector's own config: a file that is given after an array
    comes here as well, and is read.

    Args:
        bit_depth: see :class:`LoadPicture`; arrays are taken as they are.
        **kwargs: see mmdet's ``LoadImageFromFile``.
    """

    def __init__(self, bit_depth: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.from_file = LoadImageFromFile(**kwargs) if bit_depth is None else LoadPicture(bit_depth)

    def __call__(self, results: dict) -> dict:
        """The array in ``results["img"]`` as an image, or the file that ``results["img_info"]`` names."""
        return super().__call__(results) if "img" in results else self.from_file(results)
