"""Decoded training images kept in memory that all loading processes share."""

import math
import mmap
import os.path as osp
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmdet.datasets.pipelines import LoadImageFromFile

from ms2a.datasets.domain_coco import DomainCocoDataset
from ms2a.datasets.load_picture import LoadPicture
from ms2a.datasets.loading import LoadReducedImage


class ImageCache:
    """Room for images of known sizes, shared with the processes forked later.

    What one process stores the others see, and it outlives them: the loader's workers end with every epoch. Two that
    store the same image write the same bytes. Memory is taken as it is filled, never more than the limit.

    Args:
        sizes: bytes of each image.
        limit: bytes at most; images that come too late to fit are not kept.
    """

    def __init__(self, sizes: Sequence[int], limit: int) -> None:
        ends = np.cumsum(np.asarray(sizes, dtype=np.int64))
        self._starts = np.concatenate([[0], ends[:-1]])
        self._sizes = np.asarray(sizes)
        self.num_images = int((ends <= limit).sum())
        self.num_bytes = int(ends[self.num_images - 1]) if self.num_images else 0
        self._pixels = np.frombuffer(mmap.mmap(-1, max(self.num_bytes, 1)), dtype=np.uint8)
        # Height and width of each image, zero while it is not there.
        self._sizes_hw = np.frombuffer(mmap.mmap(-1, max(self.num_images, 1) * 8), dtype=np.int32).reshape(-1, 2)

    def get(self, number: int) -> np.ndarray | None:
        """A copy of image ``number``, (H, W, 3) uint8; None where it is not stored."""
        if number >= self.num_images or not self._sizes_hw[number].all():
            return None
        height, width = map(int, self._sizes_hw[number])
        start = self._starts[number]
        return self._pixels[start : start + height * width * 3].reshape(height, width, 3).copy()

    def put(self, number: int, image: np.ndarray) -> None:
        """Stores image ``number`` if there is room for it and it is as large as announced."""
        if number >= self.num_images or image.nbytes != self._sizes[number] or image.dtype != np.uint8:
            return
        start = self._starts[number]
        self._pixels[start : start + image.nbytes] = image.reshape(-1)
        self._sizes_hw[number] = image.shape[:2]  # last: from then on it is there


class LoadCachedImage:
    """A transform that reads a picture, and looks into a cache first.

    Args:
        load: the transform that reads files.
        cache: where images are kept.
        numbers: of each file's path in the cache, at the size that ``load`` gives.
    """

    def __init__(self, load: LoadImageFromFile, cache: ImageCache, numbers: dict[str, int]) -> None:
        self.load, self.cache, self.numbers = load, cache, numbers

    def __call__(self, results: dict) -> dict:
        """Adds what the transform adds."""
        info = results["img_info"]
        path = osp.join(results["img_prefix"] or "", info["filename"])
        image = self.cache.get(self.numbers[path])
        if image is None:
            results = self.load(results)
            self.cache.put(self.numbers[path], results["img"])
            return results
        ori_shape = image.shape
        if isinstance(self.load, LoadReducedImage):
            # Only an image of the size that its annotation states is kept.
            ori_shape = (info["height"], info["width"], 3)
            self.load.reduce_boxes(results, ori_shape[:2])
        results.update(filename=path, ori_filename=info["filename"], img=image, img_fields=["img"])
        results.update(img_shape=image.shape, ori_shape=ori_shape)
        return results


def cache_images(dataset: Any, limit: int) -> ImageCache:
    """Lets all annotated data sets inside a training set keep their decoded images in one cache.

    Call it before the loader's workers are forked.

    Args:
        dataset: a data set or one of mmdet's wrappers of data sets; changed in place.
        limit: bytes of memory at most, for this process and its workers together.
    """
    parts = list({id(part): part for part in _annotated(dataset)}.values())
    sizes: list[int] = []
    # By the frame into which images are reduced, if any.
    numbers: dict[tuple[int, int] | None, dict[str, int]] = {}
    for part in parts:
        for load in filter(_is_plain, part.pipeline.transforms):
            numbers_here = numbers.setdefault(_frame(load), {})
            for info in part.data_infos:
                path = osp.join(part.img_prefix or "", info["filename"])
                if path not in numbers_here:
                    numbers_here[path] = len(sizes)
                    sizes.append(math.prod(_size_hw(load, info)) * 3)
    cache = ImageCache(sizes, limit)
    for part in parts:
        part.pipeline.transforms = [
            LoadCachedImage(step, cache, numbers[_frame(step)]) if _is_plain(step) else step
            for step in part.pipeline.transforms
        ]
    return cache


def _frame(load: LoadImageFromFile) -> tuple[int, int] | None:
    return load.frame_hw if isinstance(load, LoadReducedImage) else None


def _size_hw(load: LoadImageFromFile, info: dict) -> tuple[int, int]:
    size_hw = info["height"], info["width"]
    return load.reduced_hw(*size_hw) if isinstance(load, LoadReducedImage) else size_hw


def _annotated(dataset: Any) -> Iterator[DomainCocoDataset]:
    if isinstance(dataset, DomainCocoDataset):
        yield dataset
    for part in getattr(dataset, "datasets", [getattr(dataset, "dataset", None)]):
        if part is not None:
            yield from _annotated(part)


def _is_plain(step: Any) -> bool:
    """Whether a transform decodes a file to (H, W, 3) uint8, blue first."""
    return isinstance(step, LoadPicture) or (
        type(step) is LoadImageFromFile
        and not step.to_float32
        and (step.color_type, step.channel_order) == ("color", "bgr")
    )
