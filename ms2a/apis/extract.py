"""Stage I, first half: what the base detector sees in a domain's images, as a bounded sample of channel maps."""

import copy
import os
import sys
from collections.abc import Mapping, Sequence
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
from ms2a.models import foreground_mask
from ms2a.models.style import STYLE_LAYERS, channel_statistics

# Enough for K = 100 prototypes of 256 rows each.
DEFAULT_MAX_SAMPLES = 256 * 100
# What a prototype is → the endings of the files' names.
KINDS = {"map": ("",), "vector": ("_foreground", "_background"), "style": ("_style",)}
# A location is foreground where the base detector finds a box of at least this score.
FOREGROUND_SCORE = 0.3


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
    prototype: str = "map",
) -> list[Path]:
    """Runs the base detector over images and writes a sample of its neck maps to ``OUT_PATH/DOMAIN.pth``.

    With ``prototype="vector"`` the sample is of feature vectors, one per location, in two files:
    ``DOMAIN_foreground.pth`` for locations inside a box that the detector finds, ``DOMAIN_background.pth`` for others.
    With ``prototype="style"`` it is of channel statistics, one per image, see :class:`ms2a.models.StyleMemory`.

    Args:
        cfg: config of the base detector. Images are read by its test pipeline, at ``memory_img_scale`` if it has one.
        checkpoint: weights of the base detector.
        img: folder, COCO json or image, see :func:`ms2a.datasets.image_folder.find_images`.
        domain: name of the domain; names the file.
        out_path: folder of the result.
        img_root: folder that the names in a COCO json start from.
        dim: the neck's channels, checked if given.
        batch_size: images per forward pass; the sample does not depend on it.
        max_samples: channel maps (or vectors, of each file) to keep per level; 0 keeps all.
        seed: of the sample.
        device: ``"cpu"``, ``"cuda"``, …; default: a GPU if there is one.
        workers: processes that load images; 0 loads in this one.
        strict: stop at an unreadable image instead of skipping it.
        prototype: ``"map"``, ``"vector"`` or ``"style"``: what will be clustered.

    Returns:
        the files written.

    Raises:
        UserError: nothing to read, a checkpoint that does not fit, a wrong ``dim``, images that differ in size after
            the pipeline, or (``strict``) an unreadable image.
    """
    features_path(out_path, domain)  # refuses a bad name before minutes of work
    if batch_size < 1 or workers < 0:
        raise UserError(f"batch size {batch_size} and {workers} workers: expected at least 1 and 0")
    chosen = choose_device(device)
    dataset = ImageFolderDataset(img, memory_pipeline(cfg), img_root, domain)
    model = build_model(cfg, checkpoint, chosen)
    samplers = {kind: _Sampler(max_samples, seed) for kind in KINDS[prototype]}
    with one_line_worker_errors():
        skipped = _sample(model, _loader(dataset, batch_size, workers, chosen), dim, samplers, strict)
    _check_found(dataset, img, skipped, samplers)
    meta = dict(
        domain=domain,
        prototype=prototype,
        num_images=len(dataset) - len(skipped),
        num_skipped=len(skipped),
        max_samples=max_samples,
        checkpoint=str(checkpoint),
        provenance=provenance(cfg.pretty_text, seed),
    )
    return [sampler.write(features_path(out_path, f"{domain}{kind}"), meta) for kind, sampler in samplers.items()]


def _loader(images: ImageFolderDataset, batch_size: int, workers: int, device: torch.device) -> DataLoader:
    return DataLoader(
        _ImageTensors(images),
        batch_size,
        num_workers=workers,
        collate_fn=_split_off_unreadable,
        pin_memory=device.type == "cuda",
        worker_init_fn=_one_opencv_thread,
    )


def _check_found(dataset: ImageFolderDataset, img: Any, skipped: Sequence[str], samplers: Mapping[str, Any]) -> None:
    if len(skipped) == len(dataset):
        raise UserError(f"none of the {len(dataset)} images of {img} can be read")
    if skipped:
        _warn(f"skipped {len(skipped)} of {len(dataset)} images as unreadable; --strict stops at the first")
    if empty := [kind for kind, sampler in samplers.items() if any(not len(level) for level in sampler.levels)]:
        what = " or ".join(kind.removeprefix("_") for kind in empty)
        raise UserError(
            f"a level has no {what} vectors: the detector finds boxes of score {FOREGROUND_SCORE} or more in "
            f"{'no image' if '_foreground' in empty else 'every place'} of {img}; use --prototype map"
        )


class _Sampler:
    """One sample per level, made when the first maps arrive."""

    def __init__(self, max_samples: int, seed: int) -> None:
        self._options = (max_samples, seed)
        self.levels: list[ChannelMapSample] = []

    def add(self, names: Sequence[str], maps: Sequence[Tensor], offered: Sequence[Tensor | None]) -> None:
        """Offers a batch's maps of every level, see :meth:`ChannelMapSample.add`."""
        self.levels = self.levels or [ChannelMapSample(*self._options, level) for level in range(len(maps))]
        for sample, level_maps, level_offered in zip(self.levels, maps, offered, strict=True):
            sample.add(names, level_maps, level_offered)

    def write(self, path: Path, meta: Mapping[str, Any]) -> Path:
        """Writes the samples of all levels."""
        num_maps = [sample.num_seen for sample in self.levels]
        write_maps(path, [sample.rows() for sample in self.levels], {**meta, "num_maps": num_maps})
        return path


@torch.no_grad()
def _sample(
    model: nn.Module, loader: DataLoader, dim: int | None, samplers: Mapping[str, _Sampler], strict: bool
) -> list[str]:
    """Fills the samplers; returns the names of the images that could not be read."""
    device = next(model.parameters()).device
    skipped: list[str] = []
    with tqdm(total=len(loader.dataset), desc="extracting", unit="image") as bar:
        for names, images, unreadable in loader:
            for path in unreadable:
                if strict:
                    raise UserError(f"image {path} is missing or unreadable (--strict)")
                _warn(f"skipped unreadable image {path}")
            skipped += unreadable
            if images is not None:
                _add(model, images.to(device, non_blocking=True), names, dim, samplers)
            bar.update(len(names) + len(unreadable))
    return skipped


def _add(
    model: nn.Module, images: Tensor, names: Sequence[str], dim: int | None, samplers: Mapping[str, _Sampler]
) -> None:
    """Offers what the base detector sees in a batch; the adapter, if the config has one, stands behind the neck."""
    if "_style" in samplers:
        samplers["_style"].add(names, _styles(model.backbone, images), [None] * len(STYLE_LAYERS))
        return
    maps = model.neck(model.backbone(images))
    _check_dim(dim, maps)
    if "" in samplers:
        samplers[""].add(names, maps, [None] * len(maps))
    else:
        _add_vectors(samplers, names, maps, _found_boxes(model, maps, images.shape))


def _styles(backbone: nn.Module, images: Tensor) -> list[Tensor]:
    """For each style layer one map per image, (B, 1, 2, C): means and deviations of the channels."""
    feature, styles = images, []
    for layer in STYLE_LAYERS:
        feature = getattr(backbone, layer)(feature)
        styles.append(channel_statistics(feature)[:, None])
    return styles


def _found_boxes(model: nn.Module, maps: Sequence[Tensor], shape: Sequence[int]) -> list[Tensor]:
    """What the detector finds in each image, (N, 4) in pixels of the image it sees."""
    metas = [dict(img_shape=tuple(shape[2:]), scale_factor=1.0)] * shape[0]
    found = model.bbox_head.get_bboxes(*model.bbox_head(maps), img_metas=metas, rescale=False)
    return [boxes[boxes[:, 4] >= FOREGROUND_SCORE, :4] for boxes, _ in found]


def _add_vectors(
    samplers: Mapping[str, _Sampler], names: Sequence[str], maps: Sequence[Tensor], boxes: Sequence[Tensor]
) -> None:
    """Offers the vector of each location as a map of size C × 1, to the foreground's or the background's sample."""
    vectors = [level.flatten(2).transpose(1, 2)[..., None] for level in maps]  # (B, H·W, C, 1)
    strides = [8 * 2**level for level in range(len(maps))]
    inside = [
        foreground_mask(boxes, level.shape[-2:], stride).flatten(1) > 0  # (B, H·W)
        for level, stride in zip(maps, strides, strict=True)
    ]
    samplers["_foreground"].add(names, vectors, inside)
    samplers["_background"].add(names, vectors, [~level for level in inside])


def _check_dim(dim: int | None, maps: Sequence[Tensor]) -> None:
    channels = sorted({level.shape[1] for level in maps})
    if dim is not None and channels != [dim]:
        right = " and ".join(map(str, channels))
        raise UserError(f"--dim {dim} is wrong: the neck of this config has {right} channels; use --dim {right}")


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


class _ImageTensors(Dataset):
    """(name, path, (3, H, W) float32 image or None where unreadable) of each image."""

    def __init__(self, images: ImageFolderDataset) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[str, str, Tensor | None]:
        result = self._images[index]
        return self._images.names[index], self._images.path(index), None if result is None else first_view(result)


def first_view(result: dict[str, Any]) -> Tensor:
    """The image (3, H, W) of what a test pipeline returns."""
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
