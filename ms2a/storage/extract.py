"""Stage I, first half: what the base detector sees in a domain's images, as a bounded sample of channel maps."""

import functools
import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from mmcv import Config
from mmcv.runner import get_dist_info
from torch import Tensor, nn

from ms2a.artefacts import provenance
from ms2a.datasets.image_folder import ImageFolderDataset
from ms2a.defaults import KINDS, MAX_SAMPLES, NORM, SAVE_INTERVAL
from ms2a.engine.distributed import check_in_first_process, choose_device, init_distributed
from ms2a.engine.fast_inference import speed_up
from ms2a.errors import UserError
from ms2a.memory.files import features_path
from ms2a.models import foreground_mask
from ms2a.models.baselines.style import STYLE_LAYERS, channel_statistics
from ms2a.models.build import build_model
from ms2a.storage.image_batches import ImageBatches, memory_pipeline
from ms2a.storage.one_pass import LevelSamples, SamplingRun
from ms2a.storage.resume import Partial, file_identity, warn

# For the slowest process: all meet when each has seen its images.
LONGEST_WAIT = timedelta(days=7)
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
    max_samples: int = MAX_SAMPLES,
    seed: int = 0,
    device: str | None = None,
    workers: int = 2,
    strict: bool = False,
    prototype: str = "map",
    sample_by: str = NORM,
    launcher: str = "none",
    save_interval: float = SAVE_INTERVAL,
) -> list[Path]:
    """Runs the base detector over images and writes a sample of its neck maps to ``OUT_PATH/DOMAIN.pth``.

    With ``prototype="vector"`` the sample is of feature vectors, one per location, in two files:
    ``DOMAIN_foreground.pth`` for locations inside a box that the detector finds, ``DOMAIN_background.pth`` for others.
    With ``prototype="style"`` it is of channel statistics, one per image, see
    :class:`ms2a.models.baselines.StyleMemory`, with ``"colour"`` of colour quantiles, one per image, see
    :class:`ms2a.datasets.MemoryColour`.

    Several processes take turns at the batches of one, so that each batch is made of the same images as there.

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
        workers: threads that load images ahead; 0 loads none ahead.
        strict: stop at an unreadable image instead of skipping it.
        prototype: ``"map"``, ``"vector"``, ``"style"`` or ``"colour"``: what will be clustered.
        sample_by: see :class:`ms2a.memory.sampling.ChannelMapSample`.
        launcher: see :func:`ms2a.engine.distributed.init_distributed`.
        save_interval: seconds between two saves of the state that the same call, made again, goes on from.

    Returns:
        the files written; in all but the first of several processes none.

    Raises:
        UserError: nothing to read, a checkpoint that does not fit, a wrong ``dim``, images that differ in size after
            the pipeline, or (``strict``) an unreadable image.
    """
    features_path(out_path, domain)  # refuses a bad name before minutes of work
    if batch_size < 1 or workers < 0 or save_interval < 0:
        raise UserError(
            f"batch size {batch_size}, {workers} workers, a save every {save_interval} s: expected at least 1, 0 and 0"
        )
    chosen = init_distributed(launcher, choose_device(device), LONGEST_WAIT)
    pipeline = _colour_pipeline(cfg) if prototype == "colour" else memory_pipeline(cfg)
    dataset = ImageFolderDataset(img, pipeline, img_root, domain)
    model = None if prototype == "colour" else speed_up(build_model(cfg, checkpoint, chosen))
    samples = {kind: LevelSamples(max_samples, seed, sample_by) for kind in KINDS[prototype]}
    run = SamplingRun(ImageBatches(dataset, batch_size), samples, strict)
    rank, num_processes = get_dist_info()
    identity = dict(
        config=cfg.pretty_text,
        checkpoint=file_identity(checkpoint),
        images=_digest([str(img), str(img_root), *dataset.names]),
        options=[batch_size, max_samples, seed, sample_by, chosen.type],
    )
    stem, end = f".{domain}.{prototype}", f"of{num_processes}.partial.pth"
    partial = Partial(Path(out_path, f"{stem}.{rank}{end}"), identity, save_interval)
    of_other_counts = [path for path in Path(out_path).glob(f"{stem}.*of*.partial.pth") if not path.name.endswith(end)]
    if of_other_counts and rank == 0:
        warn(f"{of_other_counts[0]} is of a run with another number of processes; it is not used")
    run.run(functools.partial(add_maps, model, dim, samples), workers, chosen, partial)
    run.gather(chosen)
    check_in_first_process(lambda: _check_found(img, run))
    meta = dict(
        domain=domain,
        prototype=prototype,
        num_images=len(dataset) - len(run.skipped),
        num_skipped=len(run.skipped),
        max_samples=max_samples,
        sample_by=sample_by,
        checkpoint=str(checkpoint),
        provenance=provenance(cfg.pretty_text, seed),
    )
    written = run.write(out_path, domain, meta) if rank == 0 else []
    if num_processes > 1:
        dist.barrier()  # the result is there before what a new run would need is not
    partial.remove()
    if rank == 0:
        for path in of_other_counts:
            path.unlink(missing_ok=True)
    return written


def _digest(words: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()


def _colour_pipeline(cfg: Config) -> list[dict]:
    """What a colour sample is taken of: the images as they are stored, which no detector has to see."""
    return [dict(type="LoadPicture", bit_depth=cfg.get("bit_depth")), dict(type="ColourQuantiles")]


def _check_found(img: str | os.PathLike, run: SamplingRun) -> None:
    dataset, skipped = run.batches.images, run.skipped
    if len(skipped) == len(dataset):
        raise UserError(f"none of the {len(dataset)} images of {img} can be read")
    if skipped:
        warn(f"skipped {len(skipped)} of {len(dataset)} images as unreadable; --strict stops at the first")
    if empty := [kind for kind, sample in run.samples.items() if any(not len(level) for level in sample.levels)]:
        what = " or ".join(kind.removeprefix("_") for kind in empty)
        raise UserError(
            f"a level has no {what} vectors: the detector finds boxes of score {FOREGROUND_SCORE} or more in "
            f"{'no image' if '_foreground' in empty else 'every place'} of {img}; use --prototype map"
        )


@torch.no_grad()
def add_maps(
    model: nn.Module | None, dim: int | None, samples: Mapping[str, LevelSamples], names: Sequence[str], images: Tensor
) -> None:
    """Offers what the base detector sees in a batch; the adapter, if the config has one, stands behind the neck.

    Colours are those of the images: they need no detector.
    """
    if "_colour" in samples:
        samples["_colour"].add(names, [images[:, None]], [None])
        return
    if "_style" in samples:
        samples["_style"].add(names, _styles(model.backbone, images), [None] * len(STYLE_LAYERS))
        return
    maps = model.neck(model.backbone(images))
    _check_dim(dim, maps)
    if "" in samples:
        samples[""].add(names, maps, [None] * len(maps))
    else:
        _add_vectors(samples, names, maps, _found_boxes(model, maps, images.shape))


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
    samples: Mapping[str, LevelSamples], names: Sequence[str], maps: Sequence[Tensor], boxes: Sequence[Tensor]
) -> None:
    """Offers the vector of each location as a map of size C × 1, to the foreground's or the background's sample."""
    vectors = [level.flatten(2).transpose(1, 2)[..., None] for level in maps]  # (B, H·W, C, 1)
    strides = [8 * 2**level for level in range(len(maps))]
    inside = [
        foreground_mask(boxes, level.shape[-2:], stride).flatten(1) > 0  # (B, H·W)
        for level, stride in zip(maps, strides, strict=True)
    ]
    samples["_foreground"].add(names, vectors, inside)
    samples["_background"].add(names, vectors, [~level for level in inside])


def _check_dim(dim: int | None, maps: Sequence[Tensor]) -> None:
    channels = sorted({level.shape[1] for level in maps})
    if dim is not None and channels != [dim]:
        right = " and ".join(map(str, channels))
        raise UserError(f"--dim {dim} is wrong: the neck of this config has {right} channels; use --dim {right}")
