"""The rows that k-means clusters: a matrix, weights, and the search for each row's nearest centroid."""

from collections.abc import Iterator

import faiss
import numpy as np
import torch
from torch import Tensor

from ms2a.errors import UserError

# Rows whose shifted or weighted copy is made at a time, and whose sums float32 is trusted with.
_BLOCK = 4096
# Rows are seen from their mean where its square is more than this share of their variance: float32 would lose the
# distances between them. Elsewhere subtracting it would gain nothing.
_LARGE_MEAN = 10.0


class Rows:
    """M rows of D values, each with a weight; far from the origin they are seen from their mean.

    All coordinates that methods take and return are relative to :attr:`origin`.

    Args:
        rows: (M, D) float32 on the CPU, contiguous; not copied.
        device: ``"cuda…"`` searches on the GPU if faiss was built for it.
        weights: (M,) float32, for how many rows each stands; None: one.
        surveyed: the rows were taken from another matrix, so they are finite and relative to its origin.

    Attributes:
        num_rows: M.
        origin: (D,) float32; None: zeros.

    Raises:
        UserError: values or weights that are not finite, negative weights, or squares that float32 can not hold.
    """

    def __init__(
        self, rows: Tensor, device: str = "cpu", weights: Tensor | None = None, surveyed: bool = False
    ) -> None:
        self.rows, self.weights, self.num_rows = rows, weights, len(rows)
        self.origin: Tensor | None = None
        self._index = faiss.IndexFlatL2(rows.shape[1])
        if device.startswith("cuda") and faiss.get_num_gpus() > 0:
            number = int(device.partition(":")[2] or 0)
            self._index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), number, self._index)
        if not surveyed:
            self._set_origin(*self._survey())

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """The rows, relative to the origin, a block at a time, and where they stand."""
        for start in range(0, len(self.rows), _BLOCK):
            part = slice(start, start + _BLOCK)
            yield part, self.rows[part] if self.origin is None else self.rows[part] - self.origin

    def nearest(self, centroids: Tensor) -> tuple[Tensor, Tensor]:
        """Nearest of the centroids (K, D) to each row, (M,) int64, and its weighted squared distance, (M,) float64."""
        self._index.reset()
        self._index.add(centroids.numpy())
        if self.origin is None:
            found, labels = self._index.search(self.rows.numpy(), 1)
        else:
            parts = [self._index.search(block.numpy(), 1) for _, block in self.blocks()]
            found, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
        distances = torch.from_numpy(found[:, 0]).double().clamp_(min=0)
        return torch.from_numpy(labels[:, 0]), distances if self.weights is None else distances * self.weights

    def sums(self, labels: Tensor, n_clusters: int) -> Tensor:
        """Weighted sums of the rows of each label, (K, D) float64."""
        sums = torch.zeros(n_clusters, self.rows.shape[1], dtype=torch.float64)
        for part, block in self.blocks():
            weighted = block if self.weights is None else block * self.weights[part, None]
            sums += torch.zeros(sums.shape).index_add_(0, labels[part], weighted)
        return sums

    def sizes(self, labels: Tensor, n_clusters: int) -> Tensor:
        """Sums of the weights of each label, (K,) float64."""
        weights = None if self.weights is None else self.weights.double()
        return torch.bincount(labels, weights, n_clusters).double()

    def inertia(self, distances: Tensor) -> float:
        """The sum of what :meth:`nearest` returned."""
        return float(distances.sum())

    def farthest(self, distances: Tensor, count: int) -> Tensor:
        """The rows of largest distance, (count, D); the first ones where distances are equal."""
        return self.take(torch.sort(distances, descending=True, stable=True).indices[:count].numpy())

    def take(self, indices: np.ndarray) -> Tensor:
        """Rows by their number, (len(indices), D)."""
        taken = self.rows[torch.from_numpy(indices)]
        return taken if self.origin is None else taken - self.origin

    def take_weights(self, indices: np.ndarray) -> Tensor | None:
        """Their weights, (len(indices),); None if every row has weight 1."""
        return None if self.weights is None else self.weights[torch.from_numpy(indices)]

    def from_origin(self, centroids: Tensor) -> Tensor:
        """(K, D) relative to the origin → in the coordinates of the rows."""
        return centroids if self.origin is None else (centroids.double() + self.origin).float()

    def _survey(self) -> tuple[float, Tensor, Tensor, Tensor]:
        """Of one pass: the largest squared norm of a row, NaN where a value or weight can not be used, and sums.

        The sums are of the weights, of the weighted rows (D,), and of their weighted squared norms, in float64.
        """
        weights = torch.ones(len(self.rows)) if self.weights is None else self.weights
        largest, square = torch.zeros(()), torch.zeros((), dtype=torch.float64)
        total = torch.zeros(self.rows.shape[1], dtype=torch.float64)
        for part, block in self.blocks():
            squares = block.square().sum(1)
            largest = torch.maximum(largest, squares.max())
            total += weights[part] @ block
            square += weights[part].double() @ squares.double()
        usable = not len(weights) or (weights.min() >= 0 and torch.isfinite(weights.max()))
        return float(largest) if usable else np.nan, weights.double().sum(), total, square

    def _set_origin(self, largest: float, count: Tensor, total: Tensor, square: Tensor) -> None:
        if np.isnan(largest):
            raise UserError("channel maps hold NaN, or weights are negative, NaN or infinite; extract again")
        if largest > np.finfo(np.float32).max / 4:  # of a distance: twice as far apart
            raise UserError(
                "channel maps hold values that are infinite, or so large that float32 can not hold their squares; "
                "check the checkpoint, or scale the maps"
            )
        of_mean = total.square().sum() / count  # Σw · ‖mean‖²
        if of_mean > _LARGE_MEAN * (square - of_mean):
            self.origin = (total / count).float()
