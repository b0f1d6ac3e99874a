"""What the network is fed in training: the images that reach the backbone, with their boxes."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from mmcv import Config
from mmdet.apis import set_random_seed
from mmdet.datasets import build_dataloader, build_dataset
from mmdet.models import build_detector
from torch import Tensor, nn

from ms2a.analysis.batches import draw_training_image
from ms2a.analysis.pictures import write_picture
from ms2a.models.foreground import foreground_mask
from ms2a.progress import Progress

STRIDE = 32
# Parts of the detector that are left out: pseudo-labels need a teacher that has learned, styles change features.
NOT_SHOWN = ("self_training", "object_memory", "style")
KEYS = ("img", "img_metas", "gt_bboxes", "gt_labels")


@dataclass
class NetworkInput:
    """One training image as it enters the backbone.

    Attributes:
        image: float (3, H, W), BGR, 0–255.
        boxes_xyxy: float (N, 4) in its pixels.
        labels: int64 (N,), positions in ``classes``.
        classes: class names of the data set.
        mask: float (H / 32, W / 32) target of the foreground branch, or None for a detector without one.
        domain: name of its domain; empty if the data set has none.
        name: file name of the canvas.
    """

    image: Tensor
    boxes_xyxy: Tensor
    labels: Tensor
    classes: Sequence[str]
    mask: Tensor | None
    domain: str
    name: str


class _Reached(Exception):
    """Ends a forward pass at the backbone."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.images = images


def network_inputs(cfg: Config, seed: int = 0) -> Iterator[NetworkInput]:
    """Yields one epoch of training images as the backbone gets them.

    They go through the config's data loader and the detector's own forward pass, stopped in front of the backbone, so
    mixing, transforms and multi-scale resizing are those of training. Every batch has another size.

    Args:
        cfg: the configuration, as from :func:`ms2a.config.load_config`.
        seed: of the order, the mixing and the sizes.
    """
    set_random_seed(seed)
    parts = {name: value for name, value in cfg.model.items() if name not in NOT_SHOWN}
    model = build_detector(parts).train()
    model.backbone.register_forward_pre_hook(_stop)
    set_random_seed(seed)
    loader_cfg = {**cfg.data.get("train_dataloader", {}), "workers_per_gpu": 0, "persistent_workers": False}
    loader_cfg.setdefault("samples_per_gpu", 1)
    dataset = build_dataset(cfg.data.train)
    loader = build_dataloader(dataset, dist=False, seed=seed, **loader_cfg)
    for batch in loader:
        if hasattr(model, "_random_resize"):
            model._input_size = model._random_resize(torch.device("cpu"))
        yield from _one_batch(model, {key: batch[key].data[0] for key in KEYS}, dataset.CLASSES)


def draw_inputs(cfg: Config, folder: str | os.PathLike, count: int, seed: int = 0) -> int:
    """Draws the first training images with their boxes to ``folder/NNNN_<domain>.jpg``.

    Args:
        cfg: the configuration, as from :func:`ms2a.config.load_config`.
        folder: where the pictures go.
        count: how many at most; an epoch may have fewer.
        seed: see :func:`network_inputs`.

    Returns:
        how many were drawn.
    """
    number = 0
    items = Progress(islice(network_inputs(cfg, seed), count), total=count, desc="images", unit="image")
    for number, item in enumerate(items, start=1):
        write_picture(_drawn(item), Path(folder, f"{number - 1:04d}_{item.domain or 'image'}.jpg"))
    return number


def _drawn(item: NetworkInput) -> np.ndarray:
    image = item.image.round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()
    height, width = image.shape[:2]
    caption = f"{item.domain or 'no domain'}  {width} x {height}  {item.name}"
    mask = None if item.mask is None else item.mask.numpy()
    return draw_training_image(image, item.boxes_xyxy.numpy(), item.labels.tolist(), item.classes, caption, mask)


def _stop(_: nn.Module, inputs: tuple[Tensor]) -> None:
    raise _Reached(inputs[0])


def _one_batch(model: nn.Module, batch: dict, classes: Sequence[str]) -> Iterator[NetworkInput]:
    boxes = batch["gt_bboxes"]
    try:
        model.forward_train(**batch)
    except _Reached as reached:
        images = reached.images
    # mmdet's YOLOX has scaled the boxes in place.
    masks = [None] * len(images)
    if getattr(model, "foreground", None):
        masks = foreground_mask(boxes, (images.shape[2] // STRIDE, images.shape[3] // STRIDE), STRIDE)[:, 0]
    for image, box, label, mask, meta in zip(images, boxes, batch["gt_labels"], masks, batch["img_metas"], strict=True):
        name = Path(meta.get("filename") or "").name
        yield NetworkInput(image, box, label, classes, mask, meta.get("domain", ""), name)
