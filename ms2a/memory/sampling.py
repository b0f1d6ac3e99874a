"""A bounded uniform random sample of channel maps, the same in whatever order and on however many machines."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ms2a.errors import UserError

_GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)


class ChannelMapSample:
    """Keeps the ``max_rows`` channel maps of one level whose hashes are smallest.

    The hash of a map depends on the seed, the image's key, the level and the channel only. Hashes are uniform, so
    the kept rows are a uniform random sample without replacement, and neither the order of the images nor their
    split into batches or shards changes it. Maps that do not get in are never copied.

    Args:
        max_rows: rows to keep at most; 0 keeps all.
        seed: another seed draws another sample.
        level: index of the level, 0 the finest.

    Attributes:
        num_seen: channel maps offered so far.
    """

    def __init__(self, max_rows: int, seed: int, level: int) -> None:
        if max_rows < 0:
            raise UserError(f"max_rows is {max_rows}, expected a number of rows, or 0 to keep all")
        self.max_rows = max_rows
        self.seed = seed
        self.level = level
        self.num_seen = 0
        self._hashes = np.empty(0, np.uint64)  # of the rows in use, in the same order
        self._buffer: Tensor | None = None  # (capacity, H, W) float32

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, image_keys: Sequence[str], maps: Tensor, offered: Tensor | None = None) -> None:
        """Offers the channel maps of a batch.

        Args:
            image_keys: B names that tell the images of the whole run apart, e.g. paths relative to the image root.
            maps: (B, C, H, W) floating point, on any device.
            offered: bool (B, C), which of the maps; None: all.

        Raises:
            UserError: the maps' size differs from earlier ones', or a kept map holds values that are not finite.
        """
        hashes = np.concatenate([self._hash_channels(key, maps.shape[1]) for key in image_keys])
        rows = maps.detach().flatten(0, 1)
        if offered is not None:
            chosen = offered.flatten()
            hashes, rows = hashes[chosen.cpu().numpy()], rows[chosen]
        self._insert(hashes, rows, image_keys)
        self.num_seen += len(hashes)

    def merge(self, other: "ChannelMapSample") -> None:
        """Adds what another shard kept; the result is the sample of both shards' images.

        Args:
            other: a sample made with the same ``max_rows``, seed and level; left as it is.
        """
        if (other.max_rows, other.seed, other.level) != (self.max_rows, self.seed, self.level):
            raise ValueError("samples of different max_rows, seed or level do not merge")
        if len(other):
            self._insert(other._hashes, other._buffer[: len(other)], ["another shard"])
        self.num_seen += other.num_seen

    def rows(self) -> Tensor:
        """The sample, (M, H, W) float32 in the order of the hashes; a view that the next ``add`` overwrites.

        Raises:
            UserError: nothing was ever added.
        """
        if self._buffer is None:
            raise UserError("no channel map was sampled: there was no image to extract from")
        _permute_rows(self._buffer, np.argsort(self._hashes))
        self._hashes.sort()
        return self._buffer[: len(self)]

    def _hash_channels(self, image_key: str, channels: int) -> np.ndarray:
        """One uniform 64-bit number per channel, (C,): the splitmix64 stream that the image's hash starts."""
        text = f"{self.seed}\0{self.level}\0{image_key}".encode("utf-8", "surrogateescape")
        start = np.frombuffer(hashlib.blake2b(text, digest_size=8).digest(), "<u8").astype(np.uint64)
        mixed = start + np.arange(1, channels + 1, dtype=np.uint64) * _GOLDEN_RATIO
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))

    def _insert(self, hashes: np.ndarray, rows: Tensor, image_keys: Sequence[str]) -> None:
        self._check_size(rows, image_keys)
        candidates = np.arange(len(hashes))
        if self.max_rows and len(self) == self.max_rows:
            candidates = candidates[hashes < self._hashes.max()]
        # The same image twice, as when ranks are padded to equal length, counts once.
        candidates = candidates[np.unique(hashes[candidates], return_index=True)[1]]
        candidates = candidates[~np.isin(hashes[candidates], self._hashes)]
        if not len(candidates):
            return
        old = len(self)
        everything = np.concatenate([self._hashes, hashes[candidates]])
        if self.max_rows and len(everything) > self.max_rows:
            kept = np.sort(np.argpartition(everything, self.max_rows - 1)[: self.max_rows])
        else:
            kept = np.arange(len(everything))
        arriving = kept[kept >= old]
        leaving = np.setdiff1d(np.arange(old), kept)
        slots = np.concatenate([leaving, np.arange(old, len(kept))])  # as many as are arriving
        self._reserve(len(kept), rows)
        chosen = torch.from_numpy(candidates[arriving - old])
        values = rows[chosen.to(rows.device)].to("cpu", torch.float32)
        if not torch.isfinite(values).all():
            raise UserError(
                f"neck maps of {_list_some(image_keys)} hold values that are not finite; check the image and checkpoint"
            )
        self._buffer[torch.from_numpy(slots)] = values
        self._hashes = np.resize(self._hashes, len(kept))
        self._hashes[slots] = everything[arriving]

    def _check_size(self, rows: Tensor, image_keys: Sequence[str]) -> None:
        if self._buffer is not None and rows.shape[1:] != self._buffer.shape[1:]:
            found, first = ("{}x{}".format(*size) for size in (rows.shape[1:], self._buffer.shape[1:]))
            raise UserError(
                f"level {self.level}: maps of {_list_some(image_keys)} are {found}, earlier ones {first}; "
                "every image must leave the test pipeline at one size, so pad to a fixed one in the config"
            )

    def _reserve(self, count: int, like: Tensor) -> None:
        """Makes room for ``count`` rows; pages of the buffer that are never written take no memory."""
        capacity = 0 if self._buffer is None else len(self._buffer)
        if count <= capacity:
            return
        capacity = max(count, 2 * capacity)
        buffer = torch.empty((min(capacity, self.max_rows or capacity), *like.shape[1:]), dtype=torch.float32)
        if self._buffer is not None:
            buffer[: len(self)] = self._buffer[: len(self)]
        self._buffer = buffer


def _list_some(image_keys: Sequence[str], limit: int = 3) -> str:
    more = f" and {len(image_keys) - limit} more" if len(image_keys) > limit else ""
    return ", ".join(image_keys[:limit]) + more


def _permute_rows(rows: Tensor, order: np.ndarray) -> None:
    """``rows[:len(order)] = rows[order]`` without a second copy of ``rows``."""
    pending = order.tolist()  # pending[i]: the row that belongs at i; i itself when settled
    for start in range(len(pending)):
        if pending[start] == start:
            continue
        first, here = rows[start].clone(), start
        while pending[here] != start:
            rows[here] = rows[pending[here]]
            pending[here], here = here, pending[here]
        rows[here] = first
        pending[here] = here
