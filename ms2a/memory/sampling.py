"""A bounded random sample of channel maps, the same in whatever order and on however many machines."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ms2a.defaults import NORM, UNIFORM
from ms2a.errors import UserError
from ms2a.memory.files import ROWS_AT_ONCE
from ms2a.memory.kept_rows import KeptRows

_GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)
_SMALLEST_NORM = 1e-12


class ChannelMapSample:
    """Keeps the ``max_rows`` channel maps of one level whose keys are smallest.

    The key of a map is a uniform number, a hash of the seed, the image's name, the level and the channel. So the kept
    rows are a uniform random sample without replacement, and neither the order of the images nor their split into
    batches or shards changes it. Maps that do not get in are never copied.

    With ``by="norm"`` the number is divided by the map's Euclidean norm (priority sampling, Duffield 2007): maps that
    weigh more in k-means get in more often, and :func:`row_weights` says for how many maps each kept one stands.

    Args:
        max_rows: rows to keep at most; 0 keeps all.
        seed: another seed draws another sample.
        level: index of the level, 0 the finest.
        by: ``"uniform"`` or ``"norm"``.

    Attributes:
        num_seen: channel maps offered so far.
    """

    def __init__(self, max_rows: int, seed: int, level: int, by: str = UNIFORM) -> None:
        if max_rows < 0:
            raise UserError(f"max_rows is {max_rows}, expected a number of rows, or 0 to keep all")
        self.max_rows = max_rows
        self.seed = seed
        self.level = level
        self.by = by
        self.num_seen = 0
        self._kept = KeptRows(max_rows)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def keys(self) -> np.ndarray:
        """The keys of the rows, (M,) float64."""
        return self._kept.keys

    @property
    def size_hw(self) -> tuple[int, int] | None:
        """Height and width of the maps; None as long as there is none."""
        return None if self._kept.buffer is None else tuple(self._kept.buffer.shape[1:])

    @property
    def threshold(self) -> float | None:
        """The key that a map must stay below to get in; None as long as all maps get in."""
        return float(self.keys.max()) if 0 < self.max_rows < self.num_seen and len(self) == self.max_rows else None

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
        keys = (hashes.astype(np.float64) + 0.5) * 2.0**-64
        maps = maps.detach()
        if self.by == NORM:
            keys /= _norms(maps).flatten().cpu().numpy()
            _check_finite(torch.from_numpy(keys), image_keys)
        index = np.arange(len(keys)) if offered is None else np.flatnonzero(offered.flatten().cpu().numpy())
        self._insert(keys[index], maps, image_keys, index)
        self.num_seen += len(index)

    def merge(self, other: "ChannelMapSample") -> None:
        """Adds what another shard kept; the result is the sample of both shards' images.

        Args:
            other: a sample made with the same ``max_rows``, seed, level and ``by``; left as it is.
        """
        if (other.max_rows, other.seed, other.level, other.by) != (self.max_rows, self.seed, self.level, self.by):
            raise ValueError("samples of different max_rows, seed, level or kind do not merge")
        if len(other):
            self._insert(other.keys, other._kept.rows[None], ["another shard"])
        self.num_seen += other.num_seen

    def rows(self) -> Tensor:
        """The sample, (M, H, W) float32 in the order of the keys; a view that the next ``add`` overwrites.

        Raises:
            UserError: nothing was ever added.
        """
        if self._kept.buffer is None:
            raise UserError("no channel map was sampled: there was no image to extract from")
        self._kept.sort()
        return self._kept.rows

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` takes; the tensors are views that the next ``add`` overwrites."""
        if self._kept.buffer is None:
            return dict(num_seen=self.num_seen)
        return dict(num_seen=self.num_seen, keys=torch.from_numpy(self.keys), rows=self._kept.rows)

    def restore(self, state: Mapping[str, Any]) -> "ChannelMapSample":
        """Becomes the sample that ``state`` describes; returns itself."""
        self.num_seen = state["num_seen"]
        if "rows" in state:
            self._kept = KeptRows(self.max_rows)
            self._kept.insert(state["keys"].numpy(), lambda places: state["rows"][torch.from_numpy(places)])
        return self

    def _hash_channels(self, image_key: str, channels: int) -> np.ndarray:
        """One uniform 64-bit number per channel, (C,): the splitmix64 stream that the image's hash starts."""
        text = f"{self.seed}\0{self.level}\0{image_key}".encode("utf-8", "surrogateescape")
        start = np.frombuffer(hashlib.blake2b(text, digest_size=8).digest(), "<u8").astype(np.uint64)
        mixed = start + np.arange(1, channels + 1, dtype=np.uint64) * _GOLDEN_RATIO
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))

    def _insert(self, keys: np.ndarray, maps: Tensor, image_keys: Sequence[str], index: np.ndarray = None) -> None:
        """Offers ``maps.flatten(0, 1)[index]``, whose keys are given."""
        if self.size_hw is not None:
            what = f"a map of {_list_some(image_keys)} at level {self.level}"
            check_same_size(what, maps.shape[2:], "an earlier one", self.size_hw)

        def take(places: np.ndarray) -> Tensor:
            values = _take(maps, places if index is None else index[places])
            _check_finite(values, image_keys)
            return values

        self._kept.insert(keys, take)


def row_weights(rows: Tensor, threshold: float | None) -> Tensor:
    """For how many of all maps each row of a sample by norm stands.

    Args:
        rows: (M, H, W) float32.
        threshold: see :attr:`ChannelMapSample.threshold`.

    Returns:
        (M,) float32, at least 1: the inverse of the probability that the row got in.
    """
    if threshold is None:
        return torch.ones(len(rows))
    norms = torch.cat([_norms(block) for block in rows.split(ROWS_AT_ONCE)])
    return (1 / (threshold * norms)).clamp_(min=1).float()


def check_same_size(what: str, size_hw: Sequence[int], first: str, first_size_hw: Sequence[int]) -> None:
    """Checks that two images, or maps of them, are of one size, as prototypes are.

    Raises:
        UserError: they are not.
    """
    if tuple(size_hw) != tuple(first_size_hw):
        found, expected = ("{}x{}".format(*size) for size in (size_hw, first_size_hw))
        raise UserError(
            f"{what} is {found}, {first} {expected}: every image must leave the test pipeline at one size; "
            "pad to a fixed one in the config"
        )


def _norms(maps: Tensor) -> Tensor:
    """Euclidean norm of each (H, W) map, float64; not 0, which it is divided by."""
    # torch.linalg.vector_norm takes five times as long.
    return maps.float().square().sum((-2, -1)).double().sqrt().clamp_(min=_SMALLEST_NORM)


def _take(maps: Tensor, index: np.ndarray) -> Tensor:
    """``maps.flatten(0, 1)[index]`` as float32 on the CPU; maps that are not taken are not copied."""
    chosen = torch.from_numpy(index).to(maps.device)
    channels = maps.shape[1]
    return maps[chosen // channels, chosen % channels].to("cpu", torch.float32)


def _check_finite(values: Tensor, image_keys: Sequence[str]) -> None:
    if not torch.isfinite(values.sum()):  # as soon as one of them is not
        raise UserError(
            f"neck maps of {_list_some(image_keys)} hold values that are not finite; check the image and checkpoint"
        )


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
