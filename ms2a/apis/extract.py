"""Stage I, first half: what the base detector sees in a domain's images, as a bounded sample of channel maps."""

import copy
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import torch
from mmcv import Config
from mmcv.parallel import DataContainer
from mmdet.datasets import replace_ImageToTensor
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from ms2a.apis.datasets import pipelines
from ms2a.apis.model import build_model
from ms2a.apis.train import one_line_worker_errors
from ms2a.artefacts import provenance
from ms2a.datasets.image_folder import ImageFolderDataset
from ms2a.engine.distributed import choose_device
from ms2a.errors import UserError
from ms2a.memory.files import features_path, write_maps
from ms2a.memory.sampling import ChannelMapSample

# Enough for K = 100 prototypes of 256 rows each.
DEFAULT_MAX_SAMPLES = 256 * 100


def extract(
    cfg: Config,
    checkpoint: str | os.PathLike,
    img: str | os.PathLike,
    domain: str,
    out_path: str | os.PathLike,
    img_root: str | os.PathLike | None = None,
    dim: int | None = None,
    batch_size: int = 8,
    max_samples: int = DEFAULT_MAX_SAMPLES,
    seed: int = 0,
    device: str | None = None,
    workers: int = 2,
    strict: bool = False,
) -> Path:
    """Runs the base detector over images and writes a sample of its neck maps to ``OUT_PATH/DOMAIN.pth``.

    Args:
        cfg: config of the base detector. Images are read by its test pipeline, at ``memory_img_scale`` if it has one.
        checkpoint: weights of the base detector.
        img: folder, COCO json or image, see :func:`ms2a.datasets.image_folder.find_images`.
        domain: name of the domain; names the file.
        out_path: folder of the result.
        img_root: folder that the names in a COCO json start from.
        dim: the neck's channels, checked if given.
        batch_size: images per forward pass; the sample does not depend on it.
        max_samples: channel maps to keep per level; 0 keeps all.
        seed: of the sample.
        device: ``"cpu"``, ``"cuda"``, …; default: a GPU if there is one.
        workers: processes that load images; 0 loads in this one.
        strict: stop at an unreadable image instead of skipping it.

    Returns:
        the file written.

    Raises:
        UserError: nothing to read, a checkpoint that does not fit, a wrong ``dim``, images that differ in size after
            the pipeline, or (``strict``) an unreadable image.
    """
    path = features_path(out_path, domain)
    if batch_size < 1 or workers < 0:
        raise UserError(f"batch size {batch_size} and {workers} workers: expected at least 1 and 0")
    chosen = choose_device(device)
    dataset = ImageFolderDataset(img, _test_pipeline(cfg), img_root, domain)
    model = build_model(cfg, checkpoint, chosen)
    loader = DataLoader(
        _ImageTensors(dataset),
        batch_size,
        num_workers=workers,
        collate_fn=_split_off_unreadable,
        pin_memory=chosen.type == "cuda",
        worker_init_fn=_one_opencv_thread,
    )
    with one_line_worker_errors():
        samples, skipped = _sample(model, loader, dim, max_samples, seed, strict)
    if len(skipped) == len(dataset):
        raise UserError(f"none of the {len(dataset)} images of {img} can be read")
    if skipped:
        _warn(f"skipped {len(skipped)} of {len(dataset)} images as unreadable; --strict stops at the first")
    meta = dict(
        domain=domain,
        num_images=len(dataset) - len(skipped),
        num_skipped=len(skipped),
        num_maps=[sample.num_seen for sample in samples],
        max_samples=max_samples,
        checkpoint=str(checkpoint),
        provenance=provenance(cfg.pretty_text, seed),
    )
    write_maps(path, [sample.rows() for sample in samples], meta)
    return path


@torch.no_grad()
def _sample(
    model: nn.Module, loader: DataLoader, dim: int | None, max_samples: int, seed: int, strict: bool
) -> tuple[list[ChannelMapSample], list[str]]:
    """One sample per level, and the names of the images that could not be read."""
    device = next(model.parameters()).device
    samples: list[ChannelMapSample] = []
    skipped: list[str] = []
    with tqdm(total=len(loader.dataset), desc="extracting", unit="image") as bar:
        for names, images, unreadable in loader:
            for path in unreadable:
                if strict:
                    raise UserError(f"image {path} is missing or unreadable (--strict)")
                _warn(f"skipped unreadable image {path}")
            skipped += unreadable
            if images is not None:
                # What the base detector sees: the adapter, if the config has one, stands behind the neck.
                maps = model.neck(model.backbone(images.to(device, non_blocking=True)))
                _check_dim(dim, maps)
                samples = samples or [ChannelMapSample(max_samples, seed, level) for level in range(len(maps))]
                for sample, level_maps in zip(samples, maps, strict=True):
                    sample.add(names, level_maps)
            bar.update(len(names) + len(unreadable))
    return samples, skipped


def _check_dim(dim: int | None, maps: Sequence[Tensor]) -> None:
    channels = sorted({level.shape[1] for level in maps})
    if dim is not None and channels != [dim]:
        right = " and ".join(map(str, channels))
        raise UserError(f"--dim {dim} is wrong: the neck of this config has {right} channels; use --dim {right}")


def _test_pipeline(cfg: Config) -> list[dict]:
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
                if scale and inner["type"] == "Pad" and inner.get("size"):
                    inner["size"] = tuple(scale)
    return pipeline


class _ImageTensors(Dataset):
    """(name, path, (3, H, W) float32 image or None where unreadable) of each image."""

    def __init__(self, images: ImageFolderDataset) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[str, str, Tensor | None]:
        result = self._images[index]
        return self._images.names[index], self._images.path(index), None if result is None else _first_view(result)


def _first_view(result: dict[str, Any]) -> Tensor:
    image = result["img"]
    image = image[0] if isinstance(image, list) else image
    return image.data if isinstance(image, DataContainer) else image


def _split_off_unreadable(
    batch: Sequence[tuple[str, str, Tensor | None]],
) -> tuple[list[str], Tensor | None, list[str]]:
    """Names and (B, 3, H, W) images of what could be read, paths of what could not."""
    readable = [(name, image) for name, _, image in batch if image is not None]
    unreadable = [path for _, path, image in batch if image is None]
    names, images = [name for name, _ in readable], [image for _, image in readable]
    if not images:
        return names, None, unreadable
    odd = next((index for index, image in enumerate(images) if image.shape != images[0].shape), None)
    if odd is not None:
        found, first = ("{}x{}".format(*images[index].shape[-2:]) for index in (odd, 0))
        raise UserError(
            f"image {names[odd]} leaves the test pipeline at {found}, {names[0]} at {first}; "
            "pad to one size in the config"
        )
    return names, torch.stack(images), unreadable


def _one_opencv_thread(worker: int) -> None:
    """Workers share the cores already."""
    cv2.setNumThreads(0)


def _warn(message: str) -> None:
    tqdm.write(f"warning: {message}", file=sys.stderr)
