"""A matrix whose rows one process holds, or several a part each, and the search for its rows' nearest centroids."""

from typing import Any

import faiss
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

# Rows whose weighted copy is made at a time.
_BLOCK = 4096


class SharedRows:
    """This process's part of the rows; what the methods return is of all rows, and the same in all processes.

    Args:
        rows: (m, D) float32 on the CPU, contiguous; not copied. The parts follow one another in the order of ranks.
        device: ``"cuda…"`` searches on the GPU if faiss was built for it.
        weights: (m,) float32, for how many rows each stands; None: one.
        shared: the processes of the process group hold a part each, and call all methods together.

    Attributes:
        num_rows: of all parts.
    """

    def __init__(self, rows: Tensor, device: str = "cpu", weights: Tensor | None = None, shared: bool = False) -> None:
        self.rows = rows
        self.weights = weights
        self._shared = shared
        self._exchange = device if shared and dist.get_backend() == "nccl" else "cpu"
        lengths = self._gather(len(rows))
        self.num_rows = sum(lengths)
        self._start = sum(lengths[: dist.get_rank()]) if shared else 0
        self._index = faiss.IndexFlatL2(rows.shape[1])
        if device.startswith("cuda") and faiss.get_num_gpus() > 0:
            number = int(device.partition(":")[2] or 0)
            self._index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), number, self._index)

    def nearest(self, centroids: Tensor) -> tuple[Tensor, Tensor]:
        """Nearest centroid of this part's rows (m,) int64, and the squared distances times the weights (m,) float64."""
        self._index.reset()
        self._index.add(centroids.numpy())
        found, labels = self._index.search(self.rows.numpy(), 1)
        distances = torch.from_numpy(found[:, 0]).double().clamp_(min=0)
        return torch.from_numpy(labels[:, 0]), distances if self.weights is None else distances * self.weights

    def sums(self, labels: Tensor, n_clusters: int) -> tuple[Tensor, Tensor]:
        """Weighted sums of the rows of each label, (K, D) float64, and the sums of their weights, (K,) float64."""
        sums = torch.zeros(n_clusters, self.rows.shape[1])
        if self.weights is None:
            sums.index_add_(0, labels, self.rows)
            return self.total(sums.double()), self.total(torch.bincount(labels, minlength=n_clusters).double())
        for block in range(0, len(labels), _BLOCK):
            part = slice(block, block + _BLOCK)
            sums.index_add_(0, labels[part], self.rows[part] * self.weights[part, None])
        weights = torch.zeros(n_clusters, dtype=torch.float64).index_add_(0, labels, self.weights.double())
        return self.total(sums.double()), self.total(weights)

    def farthest(self, distances: Tensor, count: int) -> Tensor:
        """The rows of largest distance, (count, D); the first ones where distances are equal."""
        largest = torch.sort(distances, descending=True, stable=True).indices[:count]
        candidates = list(zip((-distances[largest]).tolist(), (largest + self._start).tolist(), strict=True))
        together = sorted(pair for part in self._gather(candidates) for pair in part)
        return self.take(np.array([index for _, index in together[:count]]))

    def take(self, indices: np.ndarray) -> Tensor:
        """Rows by their number among all, (len(indices), D)."""
        taken = torch.zeros(len(indices), self.rows.shape[1])
        here = (indices >= self._start) & (indices < self._start + len(self.rows))
        taken[torch.from_numpy(here)] = self.rows[torch.from_numpy(indices[here] - self._start)]
        return self.total(taken)

    def take_weights(self, indices: np.ndarray) -> Tensor | None:
        """Their weights, (len(indices),); None if every row has weight 1."""
        if self.weights is None:
            return None
        return SharedRows(self.weights[:, None], self._exchange, shared=self._shared).take(indices)[:, 0]

    def total(self, part: Tensor) -> Tensor:
        """The sum over all processes of a tensor of theirs."""
        if not self._shared:
            return part
        whole = part.to(self._exchange)
        dist.all_reduce(whole)
        return whole.to(part.device)

    def _gather(self, part: Any) -> list[Any]:
        if not self._shared:
            return [part]
        parts: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(parts, part)
        return parts
