"""Batches of unlabelled images through a config's test pipeline, whole batches to each process."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from mmcv import Config
from mmcv.parallel import DataContainer
from mmcv.runner import get_dist_info
from mmdet.datasets import replace_ImageToTensor
from torch import Tensor

from ms2a.datasets.config_edits import pipelines
from ms2a.datasets.image_folder import ImageFolderDataset
from ms2a.engine.prefetch import prefetch
from ms2a.errors import UserError
from ms2a.memory.sampling import check_same_size
from ms2a.progress import Progress


class Batch(NamedTuple):
    """Images that are looked at together.

    Attributes:
        names: of those that could be read.
        images: (B, 3, H, W) float32; None if none could be read.
        unreadable: paths of those that could not be read.
    """

    names: list[str]
    images: Tensor | None
    unreadable: list[str]


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
    """The batches of a set of images, in its order; several processes take turns at them.

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
        results = {index: self.images[index] for index in indices}
        views = {index: first_view(result) for index, result in results.items() if result is not None}
        names = [self.images.names[index] for index in views]
        unreadable = [self.images.told(index) for index in indices if index not in views]
        return Batch(names, _stack(names, list(views.values())), unreadable)

    def load(self, start: int, workers: int, device: torch.device) -> Iterator[Batch]:
        """Yields this process's batches, loaded ahead of what is asked for; shows how far the caller has come.

        Args:
            start: how many of them to leave out.
            workers: threads that load; 0 loads when asked.
            device: where the images will go.
        """
        rank, num_processes = get_dist_info()
        numbers = range(rank, len(self), num_processes)
        share = -(-len(self.images) // num_processes)
        load = self._pinned if device.type == "cuda" else self.__getitem__
        first = min(start * self.batch_size, share)
        with Progress(total=share, initial=first, desc="extracting", unit="image", disable=rank > 0) as bar:
            for batch in prefetch(load, numbers[start:], workers):
                yield batch
                bar.update(len(batch.names) + len(batch.unreadable))

    def _pinned(self, number: int) -> Batch:
        batch = self[number]
        return batch if batch.images is None else batch._replace(images=batch.images.pin_memory())


def _stack(names: Sequence[str], images: Sequence[Tensor]) -> Tensor | None:
    if not images:
        return None
    for name, image in zip(names, images, strict=True):
        check_same_size(f"image {name}", image.shape[-2:], f"image {names[0]}", images[0].shape[-2:])
    return torch.stack(list(images))
