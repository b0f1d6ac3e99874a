"""Euclidean k-means over channel maps: the K centroids are the prototypes of a domain and level."""

import hashlib
from dataclasses import dataclass

import faiss
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ms2a.errors import UserError

DEFAULT_ITERATIONS = 25
# Stop when an iteration lowers the inertia by less than this share of it.
_TOLERANCE = 1e-5


@dataclass
class Prototypes:
    """The outcome of a clustering.

    Attributes:
        centroids: (K, H, W) float32.
        sizes: rows in each cluster, (K,) int64, all above 0.
        inertia: sum of squared distances of all rows to their centroid, before each iteration and at the end; it
            never rises by more than rounding.
    """

    centroids: Tensor
    sizes: Tensor
    inertia: list[float]


def cluster_maps(
    rows: Tensor,
    n_clusters: int,
    seed: int,
    n_iter: int = DEFAULT_ITERATIONS,
    device: str = "cpu",
    progress: str | None = None,
) -> Prototypes:
    """Clusters channel maps into K prototypes (Lloyd's iterations; faiss finds the nearest centroids).

    Args:
        rows: channel maps, (M, H, W) float32 on the CPU; all of them are used, none is copied.
        n_clusters: K.
        seed: of the rows that the centroids start from; the same seed gives the same prototypes.
        n_iter: iterations at most; fewer when they no longer help.
        device: ``"cuda…"`` searches on the GPU if faiss was built for it.
        progress: label of a progress bar; None shows none.

    Raises:
        UserError: fewer rows, or fewer distinct rows, than K.
    """
    maps_hw = rows.shape[1:]
    rows = rows.reshape(len(rows), -1).contiguous()
    if n_clusters < 1 or n_iter < 1:
        raise UserError(f"{n_clusters} clusters in {n_iter} iterations: both must be at least 1")
    if len(rows) < n_clusters:
        raise UserError(f"{len(rows)} channel maps can not make {n_clusters} clusters; give more images or a smaller K")
    centroids = rows[torch.from_numpy(_distinct_rows(rows, n_clusters, seed))]
    search = _NearestCentroid(rows, device)
    inertia: list[float] = []
    with tqdm(total=n_iter, desc=progress, unit="iteration", disable=progress is None, leave=True) as bar:
        labels, distances, centroids = _assign(search, centroids, inertia)
        for _ in range(n_iter):
            sums = torch.zeros_like(centroids).index_add_(0, labels, rows)
            centroids = sums / torch.bincount(labels, minlength=n_clusters)[:, None]
            labels, distances, centroids = _assign(search, centroids, inertia)
            bar.set_postfix_str(f"inertia {inertia[-1]:.6g}", refresh=False)
            bar.update()
            if inertia[-2] - inertia[-1] <= _TOLERANCE * inertia[-2]:
                bar.total = bar.n  # converged: the bar is full
                break
    return Prototypes(centroids.view(-1, *maps_hw), torch.bincount(labels, minlength=n_clusters), inertia)


def _distinct_rows(rows: Tensor, n_clusters: int, seed: int) -> np.ndarray:
    """Indices of ``n_clusters`` rows drawn at random, no two of them with the same content."""
    seen: set[bytes] = set()
    chosen: list[int] = []
    array = rows.numpy()
    for index in np.random.default_rng(seed).permutation(len(array)):
        digest = hashlib.blake2b(array[index] + np.float32(0), digest_size=16).digest()  # + 0: -0.0 equals 0.0
        if digest not in seen:
            seen.add(digest)
            chosen.append(index)
            if len(chosen) == n_clusters:
                return np.array(chosen)
    raise UserError(
        f"only {len(chosen)} of {len(array)} channel maps are distinct, too few for {n_clusters} clusters; "
        "give more varied images or a smaller K"
    )


class _NearestCentroid:
    """Exact search for each row's nearest centroid."""

    def __init__(self, rows: Tensor, device: str) -> None:
        self._rows = rows.numpy()
        self._index = faiss.IndexFlatL2(rows.shape[1])
        if device.startswith("cuda") and faiss.get_num_gpus() > 0:
            number = int(device.partition(":")[2] or 0)
            self._index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), number, self._index)

    def __call__(self, centroids: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (M,) int64 and squared distances (M,) float64."""
        self._index.reset()
        self._index.add(centroids.numpy())
        distances, labels = self._index.search(self._rows, 1)
        return torch.from_numpy(labels[:, 0]), torch.from_numpy(distances[:, 0]).double().clamp_(min=0)


def _assign(search: _NearestCentroid, centroids: Tensor, inertia: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    """Assigns every row; a centroid without rows moves onto the row farthest from its own centroid.

    Moving a centroid that serves no row can only lower the inertia, so it never rises.
    """
    for _ in range(len(centroids) + 1):
        labels, distances = search(centroids)
        empty = torch.nonzero(torch.bincount(labels, minlength=len(centroids)) == 0).flatten()
        if not len(empty):
            inertia.append(float(distances.sum()))
            return labels, distances, centroids
        farthest = torch.topk(distances, len(empty)).indices
        centroids[empty] = torch.from_numpy(search._rows[farthest.numpy()])
    raise UserError(
        f"the channel maps are too alike to tell {len(centroids)} clusters apart; use a smaller K or more images"
    )
