"""What is kept of a domain's images: a bounded sample for each file and level, and how far the pass has come."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmcv.runner import get_dist_info

from ms2a.datasets.readable import skip_unreadable
from ms2a.engine.distributed import gather_lists
from ms2a.errors import warn
from ms2a.memory.files import features_path, write_maps
from ms2a.memory.sampling import ChannelMapSample
from ms2a.memory.shards import gather_samples
from ms2a.storage.image_batches import Batch
from ms2a.storage.kinds import Seen


class DomainSample:
    """The samples of one domain's files, filled batch by batch.

    Args:
        endings: what the names of the files end in.
        max_samples: rows to keep per file and level, 0 for all.
        seed: of the samples.
        by: see :class:`ms2a.memory.sampling.ChannelMapSample`.
        strict: refuse unreadable images instead of leaving them out.

    Attributes:
        num_batches: batches that this process has seen.
        skipped: paths of the images that could not be read.
        files: for each ending one sample per level; none before the first batch.
    """

    def __init__(self, endings: Sequence[str], max_samples: int, seed: int, by: str, strict: bool = False) -> None:
        self.options = (max_samples, seed, by)
        self.strict = strict
        self.num_batches = 0
        self.skipped: list[str] = []
        self.files: dict[str, list[ChannelMapSample]] = {ending: [] for ending in endings}

    def add(self, batch: Batch, seen: Sequence[Seen]) -> None:
        """Offers what is seen in a batch to the samples.

        Args:
            batch: names of the images, and paths of those that could not be read.
            seen: one item for each file; none if no image of the batch could be read.

        Raises:
            UserError: (``strict``) an unreadable image; maps that are not finite or differ in size.
        """
        for path in batch.unreadable:
            skip_unreadable(path, self.strict)
        self.skipped += batch.unreadable
        for ending, item in zip(self.files, seen, strict=False):
            levels = self.files[ending] = self.files[ending] or self._new_levels(len(item.rows))
            for sample, maps, offered in zip(levels, item.rows, item.offered or [None] * len(levels), strict=True):
                sample.add(batch.names, maps, offered)
        self.num_batches += 1

    def gather(self, device: torch.device) -> None:
        """Brings what all processes sampled and skipped together in the first."""
        if get_dist_info()[1] > 1:
            self.files = {ending: gather_samples(levels, self.options, device) for ending, levels in self.files.items()}
            self.skipped = gather_lists(self.skipped)

    def empty(self) -> list[str]:
        """Endings of the files of which a level was offered no map."""
        return [ending for ending, levels in self.files.items() if not all(map(len, levels))]

    def write(self, folder: str | os.PathLike, domain: str, meta: Mapping[str, Any]) -> list[Path]:
        """Writes one file for each ending; returns them."""
        paths = []
        for ending, levels in self.files.items():
            of_levels = dict(
                num_maps=[sample.num_seen for sample in levels], thresholds=[sample.threshold for sample in levels]
            )
            paths.append(features_path(folder, f"{domain}{ending}"))
            write_maps(paths[-1], [sample.rows() for sample in levels], {**meta, **of_levels})
        return paths

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` takes: plain values and tensors, which the next batch overwrites."""
        states = {ending: [level.state() for level in levels] for ending, levels in self.files.items()}
        return dict(done=self.num_batches, skipped=self.skipped, samples=states)

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Becomes what an interrupted run had; None, and what a strict run would have refused, change nothing."""
        if state is None:
            return
        if self.strict and state["skipped"]:
            warn(f"the interrupted run skipped {len(state['skipped'])} unreadable images, a strict one starts anew")
            return
        self.num_batches, self.skipped = state["done"], state["skipped"]
        for ending, states in state["samples"].items():
            levels = self._new_levels(len(states))
            self.files[ending] = [level.restore(saved) for level, saved in zip(levels, states, strict=True)]
        print(f"going on after {self.num_batches} batches")

    def _new_levels(self, num_levels: int) -> list[ChannelMapSample]:
        max_samples, seed, by = self.options
        return [ChannelMapSample(max_samples, seed, level, by) for level in range(num_levels)]
