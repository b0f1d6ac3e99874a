"""The samples that several processes drew, brought together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from ms2a.memory.sampling import ChannelMapSample


def gather_samples(
    levels: Sequence[ChannelMapSample], options: Sequence[Any], device: torch.device
) -> list[ChannelMapSample]:
    """Merges the samples that all processes drew, each of its own images; to be called by all of them.

    Args:
        levels: this process's samples, left in the order of their keys; none if it had no image.
        options: ``max_rows``, seed and kind, for a process without any.
        device: where the process group exchanges tensors.

    Returns:
        in the first process the samples of all images, bit for bit those of one process; in others what was given.
    """
    described: list[Any] = [None] * dist.get_world_size()
    own = [(level.num_seen, np.sort(level.keys), level.size_hw) for level in levels]
    dist.all_gather_object(described, own)
    max_rows, seed, by = options
    merged = list(levels) or [ChannelMapSample(max_rows, seed, level, by) for level in range(max(map(len, described)))]
    for level, sample in enumerate(merged):
        keys = np.unique(np.concatenate([parts[level][1] for parts in described if parts]))
        last = keys[max_rows - 1] if max_rows and len(keys) > max_rows else np.inf
        for rank, parts in enumerate(described):
            if rank == 0 or not parts:
                continue
            num_seen, keys, size = parts[level]
            wanted = keys[keys <= last]  # no others can get in
            if rank == dist.get_rank() and len(wanted):
                dist.send(sample.rows()[: len(wanted)].to(device), 0)
            elif dist.get_rank() == 0:
                state = dict(num_seen=num_seen)
                if len(wanted):
                    rows = torch.empty((len(wanted), *size), device=device)
                    dist.recv(rows, rank)
                    state.update(keys=torch.from_numpy(wanted), rows=rows.cpu())
                sample.merge(ChannelMapSample(max_rows, seed, level, by).restore(state))
    return merged
