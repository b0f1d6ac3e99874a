"""The rows of smallest key among all that were offered: as one would say it, and without copying those that stay."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ms2a.errors import UserError


def keep_smallest(
    keys: np.ndarray, rows: Tensor, new_keys: np.ndarray, new_rows: Tensor, max_rows: int
) -> tuple[np.ndarray, Tensor]:
    """Concatenates, sorts and slices: what :class:`KeptRows` does in place.

    Args:
        keys: (M,) float64 of the rows kept so far.
        rows: (M, H, W).
        new_keys: (N,) float64 of the rows offered; a key that is there already offers the same row again.
        new_rows: (N, H, W).
        max_rows: how many to keep; 0 keeps all.

    Returns:
        keys, rising, and rows.
    """
    keys, first = np.unique(np.concatenate([keys, new_keys]), return_index=True)
    kept = slice(max_rows or None)
    return keys[kept], torch.cat([rows, new_rows])[torch.from_numpy(first)][kept]


class KeptRows:
    """:func:`keep_smallest` in place: rows that get in take the places of rows that drop out, and no other is copied.

    ``python -m benchmarks.sampling`` measures what that saves.

    Args:
        max_rows: rows to keep at most; 0 keeps all.

    Attributes:
        keys: (M,) float64 of the rows kept, in the order of the rows.
    """

    def __init__(self, max_rows: int):
        self.max_rows = max_rows
        self.keys = np.empty(0)
        self.buffer: Tensor | None = None  # (capacity, H, W) float32, of which M rows are used

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def rows(self) -> Tensor:
        """The rows kept, (M, H, W) float32: a view that the next :meth:`insert` overwrites."""
        # By way of NumPy the view's storage ends where the view does, and torch.save writes no more than that.
        return torch.from_numpy(self.buffer.numpy()[: len(self)])

    def insert(self, keys: np.ndarray, take: Callable[[np.ndarray], Tensor]) -> None:
        """Offers rows.

        Args:
            keys: (N,) float64.
            take: gives the rows (n, H, W) float32 at n of the N places; those that do not get in are never asked for.

        Raises:
            UserError: there is no memory for ``max_rows`` rows.
        """
        places = np.arange(len(keys))
        if self.max_rows and len(self) == self.max_rows:
            places = np.flatnonzero(keys < self.keys.max())  # the few that get in
        # The same image twice, as when ranks are padded to equal length, counts once.
        keys, first = np.unique(keys[places], return_index=True)
        known = np.sort(self.keys)
        fresh = np.searchsorted(known, keys) == np.searchsorted(known, keys, side="right")
        keys, places = keys[fresh], places[first[fresh]]
        together = np.concatenate([self.keys, keys])
        count = min(self.max_rows or len(together), len(together))
        if not len(keys):
            return
        kept = together <= np.partition(together, count - 1)[count - 1]
        old, arriving = len(self), np.flatnonzero(kept[len(self) :])
        if not len(arriving):
            return
        values = take(places[arriving])
        self._reserve(count, values.shape[1:])
        free = np.concatenate([np.flatnonzero(~kept[:old]), np.arange(old, count)])  # as many as are arriving
        self.buffer[torch.from_numpy(free)] = values
        self.keys = np.concatenate([self.keys, np.empty(count - old)])
        self.keys[free] = keys[arriving]

    def sort(self) -> None:
        """Brings keys and rows into the order of rising keys, without a second copy of the rows."""
        order = np.argsort(self.keys)
        self.keys = self.keys[order]
        rows, pending = self.buffer, order.tolist()  # pending[i]: the row that belongs at i; i itself when settled
        for start in range(len(pending)):
            if pending[start] == start:
                continue
            first, here = rows[start].clone(), start
            while pending[here] != start:
                rows[here] = rows[pending[here]]
                pending[here], here = here, pending[here]
            rows[here] = first
            pending[here] = here

    def _reserve(self, count: int, size_hw: torch.Size) -> None:
        """Makes room for ``count`` rows; pages of the buffer that are never written take no memory."""
        if self.buffer is not None and count <= len(self.buffer):
            return
        # Bounded, it gets all its room at once: growing would hold the old rows and the new ones for a while.
        capacity = self.max_rows or max(count, 0 if self.buffer is None else 2 * len(self.buffer))
        try:
            buffer = torch.empty((capacity, *size_hw), dtype=torch.float32)
        except RuntimeError:
            height, width = size_hw
            raise UserError(
                f"a sample of {capacity} maps of {height}x{width} needs {capacity * height * width * 4 / 1e9:.0f} GB, "
                "more than there is here; give a smaller `max_samples`"
            ) from None
        if self.buffer is not None:
            buffer[: len(self)] = self.rows
        self.buffer = buffer
