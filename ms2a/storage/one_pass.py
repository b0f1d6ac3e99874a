"""One pass over a domain's images that fills samples: in one process or several, in one go or in parts."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from mmcv.runner import get_dist_info
from torch import Tensor
from tqdm import tqdm

from ms2a.errors import UserError
from ms2a.memory.files import features_path, write_maps
from ms2a.memory.sampling import ChannelMapSample, gather_samples
from ms2a.storage.image_batches import ImageBatches
from ms2a.storage.resume import Partial, warn


class LevelSamples:
    """One sample per level, made when the first maps arrive.

    Args:
        max_samples: rows to keep per level, 0 for all.
        seed: of the samples.
        by: see :class:`ms2a.memory.sampling.ChannelMapSample`.
    """

    def __init__(self, max_samples: int, seed: int, by: str) -> None:
        self.options = (max_samples, seed, by)
        self.levels: list[ChannelMapSample] = []

    def _make(self, num_levels: int) -> list[ChannelMapSample]:
        max_samples, seed, by = self.options
        return [ChannelMapSample(max_samples, seed, level, by) for level in range(num_levels)]

    def add(self, names: Sequence[str], maps: Sequence[Tensor], offered: Sequence[Tensor | None]) -> None:
        """Offers a batch's maps of every level, see :meth:`ChannelMapSample.add`."""
        self.levels = self.levels or self._make(len(maps))
        for sample, level_maps, level_offered in zip(self.levels, maps, offered, strict=True):
            sample.add(names, level_maps, level_offered)

    def restore(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Becomes what an interrupted run had, from the states of its levels."""
        self.levels = [level.restore(state) for level, state in zip(self._make(len(states)), states, strict=True)]

    def write(self, path: Path, meta: Mapping[str, Any]) -> Path:
        """Writes the samples of all levels."""
        more = dict(
            num_maps=[sample.num_seen for sample in self.levels],
            thresholds=[sample.threshold for sample in self.levels],
        )
        write_maps(path, [sample.rows() for sample in self.levels], {**meta, **more})
        return path


class SamplingRun:
    """This process's share of a pass: every so manieth of the batches of one process, each made of the same images.

    Args:
        batches: those of one process.
        samples: what is filled, by the ending of the file's name.
        strict: stop at an unreadable image instead of skipping it.

    Attributes:
        skipped: the images that could not be read.
    """

    def __init__(self, batches: ImageBatches, samples: Mapping[str, LevelSamples], strict: bool) -> None:
        self.batches = batches
        self.samples = samples
        self.strict = strict
        self.skipped: list[str] = []
        self._done = 0  # batches of this process

    def run(
        self, add: Callable[[Sequence[str], Tensor], None], workers: int, device: torch.device, partial: Partial
    ) -> None:
        """Goes through the batches from where the last run was interrupted, if it was.

        Args:
            add: takes the names and (B, 3, H, W) images of a batch, and offers to the samples what is seen in them.
            workers: threads that load images.
            device: where the images go.
            partial: where the state is saved.

        Raises:
            UserError: (``strict``) an unreadable image.
        """
        self._restore(partial.load())
        rank, num_processes = get_dist_info()
        numbers = range(rank, len(self.batches), num_processes)
        total, size = len(self.batches.images), self.batches.batch_size
        share = -(-total // num_processes) if num_processes > 1 else total
        first = min(self._done * size, share)
        with tqdm(total=share, initial=first, desc="extracting", unit="image", disable=rank > 0) as bar:
            for names, images, unreadable in self.batches.load(numbers[self._done :], workers, device):
                self._skip(unreadable)
                if images is not None:
                    add(names, images.to(device, non_blocking=True))
                self._done += 1
                partial.save_if_due(self._state)
                bar.update(len(names) + len(unreadable))

    def gather(self, device: torch.device) -> None:
        """Brings what all processes sampled and skipped together in the first."""
        if get_dist_info()[1] == 1:
            return
        for samples in self.samples.values():
            samples.levels = gather_samples(samples.levels, samples.options, device)
        skipped: list[Any] = [None] * get_dist_info()[1]
        dist.all_gather_object(skipped, self.skipped)
        self.skipped = [path for paths in skipped for path in paths]

    def write(self, folder: str | os.PathLike, domain: str, meta: Mapping[str, Any]) -> list[Path]:
        """Writes one file for each kind of sample; returns them."""
        return [samples.write(features_path(folder, f"{domain}{kind}"), meta) for kind, samples in self.samples.items()]

    def _skip(self, unreadable: Sequence[str]) -> None:
        for path in unreadable:
            if self.strict:
                raise UserError(f"image {path} is missing or unreadable (--strict)")
            warn(f"skipped unreadable image {path}")
        self.skipped += unreadable

    def _state(self) -> dict[str, Any]:
        states = {kind: [level.state() for level in samples.levels] for kind, samples in self.samples.items()}
        return dict(done=self._done, skipped=self.skipped, samples=states)

    def _restore(self, state: Mapping[str, Any] | None) -> None:
        if state is None:
            return
        if self.strict and state["skipped"]:
            warn(f"the interrupted run skipped {len(state['skipped'])} unreadable images (--strict); starting anew")
            return
        self._done, self.skipped = state["done"], state["skipped"]
        for kind, samples in self.samples.items():
            samples.restore(state["samples"][kind])
        print(f"going on after {self._done} of {len(self.batches)} batches")
