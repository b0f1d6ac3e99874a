"""Source images in the colours of the target: style transfer on images, a baseline of the comparison."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.datasets import PIPELINES

from ms2a.datasets.image_folder import find_images
from ms2a.datasets.load_picture import check_bit_depth, read_picture
from ms2a.datasets.readable import SkippedImages, is_readable
from ms2a.errors import UserError

METHODS = {"HistogramMatching": "hm_metadata", "FDA": "fda_metadata"}
"""Albumentations' transforms, and the key under which each takes its reference image."""


@PIPELINES.register_module()
class TargetStyle:
    """Restyles an image after a random unlabelled target image; the annotations stay.

    Histogram matching, or Fourier domain adaptation (Yang 2020, FDA), each as albumentations does it.

    Args:
        img: folder, COCO json or list of target images, see :func:`ms2a.datasets.image_folder.find_images`.
        img_root: folder that the names in a COCO json start from.
        methods: those to choose from, each equally often.
        prob: share of the images that are restyled.
        bit_depth: see :func:`ms2a.datasets.load_picture.read_picture`.

    Raises:
        UserError: albumentations is not installed, an unknown method, or nothing to read; unreadable images are left
            out.
    """

    def __init__(
        self,
        img: str | os.PathLike,
        img_root: str | os.PathLike | None = None,
        methods: Sequence[str] = tuple(METHODS),
        prob: float = 0.5,
        bit_depth: int | None = None,
    ) -> None:
        unknown = sorted(set(methods) - set(METHODS))
        if unknown or not methods:
            raise UserError(f"TargetStyle(methods={list(methods)}): expected some of {', '.join(METHODS)}")
        self._transforms = _albumentations(methods)
        self._img = str(img)
        self._images = list(enumerate(find_images(img, img_root)))
        self._skipped = SkippedImages(len(self._images))
        self.prob = prob
        self.bit_depth = check_bit_depth(bit_depth)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Changes ``results["img"]``, uint8 (H, W, 3)."""
        if np.random.rand() < self.prob:
            reference = self._reference()
            transform, key = self._transforms[np.random.randint(len(self._transforms))]
            transform.set_random_seed(int(np.random.randint(2**31)))
            results["img"] = transform(image=results["img"], **{key: [reference]})["image"]
        return results

    def _reference(self) -> np.ndarray:
        """A random readable image; one that is not is not tried again."""
        while self._images:
            number = np.random.randint(len(self._images))
            index, (root, name) = self._images[number]
            path = os.path.join(root, name)
            if is_readable(path):
                return read_picture(path, self.bit_depth)
            self._skipped.skip(index, path)
            self._images.pop(number)
        raise UserError(f"TargetStyle(img={self._img}): none of its images can be read")


def _albumentations(methods: Sequence[str]) -> list[tuple[Any, str]]:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for a newer version
    try:
        import albumentations
    except ImportError:
        raise UserError(
            "TargetStyle needs albumentations, which is not installed; in the folder of MS2A's sources run: "
            "pip install --no-deps -r requirements/style.txt"
        ) from None
    return [(getattr(albumentations, name)(p=1.0), METHODS[name]) for name in methods]
