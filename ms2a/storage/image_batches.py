"""Batches of unlabelled images through a config's test pipeline, whole batches to each process."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmcv import Config
from mmcv.parallel import DataContainer
from mmdet.datasets import replace_ImageToTensor
from torch import Tensor

from ms2a.datasets.config_edits import pipelines
from ms2a.datasets.image_folder import ImageFolderDataset
from ms2a.engine.prefetch import prefetch
from ms2a.errors import UserError

# Names and (B, 3, H, W) float32 images of what could be read, paths of what could not.
Batch = tuple[list[str], Tensor | None, list[str]]


def memory_pipeline(cfg: Config) -> list[dict]:
    """The config's test pipeline, one view per image, at the memory's image size."""
    found = next(pipelines(cfg.data.get("test") or {}), None)
    if found is None:
        raise UserError(f"config {cfg.filename} has no test pipeline: set data.test.pipeline")
    pipeline = replace_ImageToTensor(copy.deepcopy(found["pipeline"]))
    scale = cfg.get("memory_img_scale")
    for transform in pipeline:
        if transform["type"] == "MultiScaleFlipAug":
            transform["flip"] = False
            transform["img_scale"] = tuple(scale) if scale else transform.get("img_scale")
            for inner in transform["transforms"]:
                if scale and inner["type"] == "Pad" and (inner.get("size") or inner.get("size_divisor")):
                    inner.update(size=tuple(scale), size_divisor=None)  # one size, the prototypes', for every image
    return pipeline


def first_view(result: dict[str, Any]) -> Tensor:
    """The image (3, H, W) of what a test pipeline returns."""
    image = result["img"]
    image = image[0] if isinstance(image, list) else image
    return image.data if isinstance(image, DataContainer) else image


class ImageBatches:
    """The batches of a set of images, in its order.

    Args:
        images: the images.
        batch_size: images in each batch but the last.
    """

    def __init__(self, images: ImageFolderDataset, batch_size: int) -> None:
        self.images = images
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __getitem__(self, number: int) -> Batch:
        first = number * self.batch_size
        indices = range(first, min(first + self.batch_size, len(self.images)))
        results = [self.images[index] for index in indices]
        unreadable = [self.images.path(index) for index, result in zip(indices, results, strict=True) if result is None]
        names = [self.images.names[index] for index, result in zip(indices, results, strict=True) if result is not None]
        return names, _stack(names, [first_view(result) for result in results if result is not None]), unreadable

    def load(self, numbers: Sequence[int], workers: int, device: torch.device) -> Iterator[Batch]:
        """Loads batches, some ahead of what is asked for.

        Args:
            numbers: which.
            workers: threads that load; 0 loads when asked.
            device: where the images will go.
        """
        return prefetch(self._pinned if device.type == "cuda" else self.__getitem__, numbers, workers)

    def _pinned(self, number: int) -> Batch:
        names, images, unreadable = self[number]
        return names, None if images is None else images.pin_memory(), unreadable


def _stack(names: Sequence[str], images: Sequence[Tensor]) -> Tensor | None:
    if not images:
        return None
    odd = next((index for index, image in enumerate(images) if image.shape != images[0].shape), None)
    if odd is not None:
        found, first = ("{}x{}".format(*images[index].shape[-2:]) for index in (odd, 0))
        raise UserError(
            f"image {names[odd]} leaves the test pipeline at {found}, {names[0]} at {first}; "
            "pad to one size in the config"
        )
    return torch.stack(list(images))
