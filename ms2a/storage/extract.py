"""Stage I, first half: what the base detector sees in a domain's images, as a bounded sample of channel maps."""

import hashlib
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from mmcv import Config
from mmcv.runner import get_dist_info

from ms2a.artefacts import check_output, memory_names, provenance
from ms2a.datasets.image_folder import ImageFolderDataset
from ms2a.datasets.readable import check_skipped
from ms2a.defaults import MAX_SAMPLES, NORM, SAVE_INTERVAL
from ms2a.engine.building import config_mistakes_told
from ms2a.engine.distributed import (
    check_in_first_process,
    choose_device,
    init_distributed,
    only_one_run,
    wait_for_all,
)
from ms2a.engine.fast_inference import speed_up
from ms2a.errors import UserError
from ms2a.lock import LOCK_FILE
from ms2a.memory.files import check_replaceable, features_path
from ms2a.models.build import build_model
from ms2a.settled import config_text
from ms2a.storage.image_batches import ImageBatches
from ms2a.storage.kinds import LOOKS, Maps
from ms2a.storage.resume import Partial, file_identity
from ms2a.storage.samples import DomainSample

# For the slowest process: all meet when each has seen its images.
LONGEST_WAIT = timedelta(days=7)


@dataclass(frozen=True)
class ExtractOptions:
    """How a domain's images are looked at.

    Attributes:
        prototype: ``"map"``, ``"vector"``, ``"style"`` or ``"colour"``, what will be clustered: see
            :mod:`ms2a.storage.kinds`. Vectors make two files, ``DOMAIN_foreground.pth`` and ``DOMAIN_background.pth``.
        dim: the neck's channels, checked if given.
        batch_size: images per forward pass; the sample does not depend on it.
        max_samples: channel maps (or vectors, of each file) to keep per level; 0 keeps all.
        sample_by: see :class:`ms2a.memory.sampling.ChannelMapSample`.
        seed: of the sample.
        img_root: folder that the names in a COCO json start from.
        strict: stop at an unreadable image instead of skipping it.
        device: ``"cpu"``, ``"cuda"``, …; default: a GPU if there is one.
        workers: threads that load images ahead; 0 loads none ahead.
        launcher: see :func:`ms2a.engine.distributed.init_distributed`.
        save_interval: seconds between two saves of the state that the same call, made again, goes on from.

    Raises:
        UserError: an unknown prototype, or a number that is too small.
    """

    prototype: str = "map"
    dim: int | None = None
    batch_size: int = 8
    max_samples: int = MAX_SAMPLES
    sample_by: str = NORM
    seed: int = 0
    img_root: str | os.PathLike | None = None
    strict: bool = False
    device: str | None = None
    workers: int = 2
    launcher: str = "none"
    save_interval: float = SAVE_INTERVAL

    def __post_init__(self) -> None:
        if self.prototype not in LOOKS:
            raise UserError(f"`prototype={self.prototype!r}`: expected one of {', '.join(LOOKS)}")
        for name, smallest in dict(batch_size=1, max_samples=0, workers=0, save_interval=0).items():
            if getattr(self, name) < smallest:
                raise UserError(f"`{name}={getattr(self, name)}`: expected {smallest} or more")


def extract(
    cfg: Config,
    checkpoint: str | os.PathLike,
    img: str | os.PathLike,
    domain: str,
    out_path: str | os.PathLike,
    options: ExtractOptions | None = None,
) -> list[Path]:
    """Runs the base detector over images and writes a sample of its neck maps to ``OUT_PATH/DOMAIN.pth``.

    Several processes take turns at the batches of one, so that each batch is made of the same images as there.

    Args:
        cfg: config of the base detector. Images are read by its test pipeline, at ``memory_img_scale`` if it has one.
        checkpoint: weights of the base detector.
        img: folder, COCO json or image, see :func:`ms2a.datasets.image_folder.find_images`.
        domain: name of the domain; names the file.
        out_path: folder of the result.
        options: how; default: those of :class:`ExtractOptions`.

    Returns:
        the files written; in all but the first of several processes none.

    Raises:
        UserError: nothing to read, a checkpoint that does not fit, a wrong ``dim``, images that differ in size after
            the pipeline, or (``strict``) an unreadable image.
    """
    options = options or ExtractOptions()
    check_output(out_path, is_folder=True)
    for name in memory_names(domain, options.prototype):  # before minutes of work
        check_replaceable(features_path(out_path, name), domain, options.prototype)
    device = init_distributed(options.launcher, choose_device(options.device), LONGEST_WAIT)
    kind = LOOKS[options.prototype]
    with config_mistakes_told(cfg):
        images = ImageFolderDataset(img, kind.pipeline(cfg), options.img_root, domain)
    look = kind(speed_up(build_model(cfg, checkpoint, device)) if kind.needs_detector else None, options.dim)
    sample = DomainSample(kind.endings, options.max_samples, options.seed, options.sample_by, options.strict)
    identity = dict(
        config=config_text(cfg),
        checkpoint=file_identity(checkpoint),
        images=_digest([str(img), str(options.img_root), *images.names]),
        options=[options.batch_size, options.max_samples, options.seed, options.sample_by, device.type],
    )
    partial = Partial(out_path, f".{domain}.{options.prototype}", identity, options.save_interval)
    with only_one_run(out_path, "extraction", f".{domain}.{options.prototype}{LOCK_FILE}"):
        store(ImageBatches(images, options.batch_size), look, sample, partial, options.workers, device)
        sample.gather(device)
        check_in_first_process(lambda: _check_found(sample, look, len(images), img))
        meta = _meta(cfg, checkpoint, domain, options, images, sample)
        written = sample.write(out_path, domain, meta) if get_dist_info()[0] == 0 else []
        wait_for_all()  # the result is there before what a new run would need is not
        partial.remove()
    return written


@torch.no_grad()
def store(
    batches: ImageBatches, look: Maps, sample: DomainSample, partial: Partial, workers: int, device: torch.device
) -> None:
    """The storage pass: looks at every image of this process and samples what is seen.

    Args:
        batches: those of all processes.
        look: what is looked at.
        sample: is filled.
        partial: the state that an interrupted run left, and that this one leaves now and then.
        workers: threads that load images.
        device: where the detector is.
    """
    sample.restore(partial.load())
    for batch in batches.load(sample.num_batches, workers, device):
        seen = look(batch.images.to(device, non_blocking=True)) if batch.names else []
        sample.add(batch, seen)
        partial.save_if_due(sample.state)


def _check_found(sample: DomainSample, look: Maps, num_images: int, img: str | os.PathLike) -> None:
    check_skipped(sample.skipped, num_images, str(img))
    if empty := sample.empty():
        what = " or ".join(ending.removeprefix("_") for ending in empty)
        raise UserError(f"nothing to sample for {what} at a level in {img}: {look.why_empty(empty[0])}")


def _meta(
    cfg: Config,
    checkpoint: str | os.PathLike,
    domain: str,
    options: ExtractOptions,
    images: ImageFolderDataset,
    sample: DomainSample,
) -> dict[str, Any]:
    return dict(
        domain=domain,
        prototype=options.prototype,
        num_images=len(images) - len(sample.skipped),
        num_skipped=len(sample.skipped),
        max_samples=options.max_samples,
        sample_by=options.sample_by,
        checkpoint=str(checkpoint),
        provenance=provenance(config_text(cfg), options.seed),
    )


def _digest(words: list[str]) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()
