"""K-means of rows that several processes hold a part of each: the same prototypes in all of them."""

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from ms2a.defaults import CLUSTER_ITERATIONS
from ms2a.memory.clustering import Prototypes, check_numbers, cluster_rows
from ms2a.memory.rows import Rows


def cluster_shared_maps(
    rows: Tensor,
    n_clusters: int,
    seed: int,
    n_iter: int = CLUSTER_ITERATIONS,
    device: str = "cpu",
    progress: str | None = None,
    weights: Tensor | None = None,
) -> Prototypes:
    """:func:`ms2a.memory.clustering.cluster_maps` of the rows of all processes of the process group.

    Args:
        rows: this process's channel maps; the parts follow one another in the order of ranks.
        n_clusters: K.
        seed: the same in all processes.
        n_iter: iterations at most.
        device: where the process group exchanges tensors, if it does so on a GPU, and where faiss searches.
        progress: label of a progress bar; None shows none.
        weights: of this process's rows; None: one. Either all processes give weights or none does.
    """
    check_numbers(n_clusters, n_iter)
    shared = SharedRows(rows.reshape(len(rows), -1).contiguous(), device, weights)
    return cluster_rows(shared, rows.shape[1:], n_clusters, seed, n_iter, progress)


class SharedRows(Rows):
    """This process's part of the rows; what the methods return of several rows is of all of them.

    Labels and distances are those of this process's rows. The processes call all methods together.

    Args:
        rows: see :class:`Rows`.
        device: see :class:`Rows`.
        weights: see :class:`Rows`.
    """

    def __init__(self, rows: Tensor, device: str = "cpu", weights: Tensor | None = None) -> None:
        self._exchange = device if dist.get_backend() == "nccl" else "cpu"
        lengths = self._gather(len(rows))
        self._start = sum(lengths[: dist.get_rank()])
        super().__init__(rows, device, weights)
        self.num_rows = sum(lengths)

    def _survey(self) -> tuple[float, Tensor, Tensor, Tensor]:
        largest, *sums = super()._survey()
        # All processes refuse the rows, or none does.
        return float(np.max(self._gather(largest))), *(self._total(each) for each in sums)

    def sums(self, labels: Tensor, n_clusters: int) -> Tensor:
        """As in the parent."""
        return self._total(super().sums(labels, n_clusters))

    def sizes(self, labels: Tensor, n_clusters: int) -> Tensor:
        """As in the parent."""
        return self._total(super().sizes(labels, n_clusters))

    def inertia(self, distances: Tensor) -> float:
        """As in the parent."""
        return float(self._total(distances.sum()))

    def farthest(self, distances: Tensor, count: int) -> Tensor:
        """As in the parent."""
        largest = torch.sort(distances, descending=True, stable=True).indices[:count]
        candidates = list(zip((-distances[largest]).tolist(), (largest + self._start).tolist(), strict=True))
        together = sorted(pair for part in self._gather(candidates) for pair in part)
        return self.take(np.array([index for _, index in together[:count]]))

    def take(self, indices: np.ndarray) -> Tensor:
        """As in the parent; numbers are among all rows."""
        taken, here = torch.zeros(len(indices), self.rows.shape[1]), self._is_here(indices)
        taken[torch.from_numpy(here)] = super().take(indices[here] - self._start)
        return self._total(taken)

    def take_weights(self, indices: np.ndarray) -> Tensor | None:
        """As in the parent; numbers are among all rows."""
        if self.weights is None:
            return None
        taken, here = torch.zeros(len(indices)), self._is_here(indices)
        taken[torch.from_numpy(here)] = super().take_weights(indices[here] - self._start)
        return self._total(taken)

    def _is_here(self, indices: np.ndarray) -> np.ndarray:
        return (indices >= self._start) & (indices < self._start + len(self.rows))

    def _total(self, part: Tensor) -> Tensor:
        """The sum over all processes of a tensor of theirs."""
        whole = part.to(self._exchange)
        dist.all_reduce(whole)
        return whole.to(part.device)

    def _gather(self, part: Any) -> list[Any]:
        parts: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(parts, part)
        return parts
