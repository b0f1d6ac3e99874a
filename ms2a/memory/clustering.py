"""Euclidean k-means over channel maps: the K centroids are the prototypes of a domain and level."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ms2a.defaults import CLUSTER_ITERATIONS
from ms2a.errors import UserError
from ms2a.memory.rows import Rows
from ms2a.progress import Progress

# Stop when an iteration lowers the inertia by less than this share of it.
_TOLERANCE = 1e-5
# The start: k-means++ and a few iterations over this many rows a centroid.
_START_ROWS, _START_ITERATIONS, _START_TRIALS = 32, 5, 4


@dataclass
class Prototypes:
    """The outcome of a clustering.

    Attributes:
        centroids: (K, H, W) float32.
        sizes: rows in each cluster (the sum of their weights, rounded), (K,) int64, all above 0.
        inertia: weighted sum of squared distances of all rows to their centroid, before each iteration and at the end;
            it never rises by more than rounding.
        num_rows: how many rows were clustered.
    """

    centroids: Tensor
    sizes: Tensor
    inertia: list[float]
    num_rows: int


def cluster_maps(
    rows: Tensor,
    n_clusters: int,
    seed: int,
    n_iter: int = CLUSTER_ITERATIONS,
    device: str = "cpu",
    progress: str | None = None,
    weights: Tensor | None = None,
) -> Prototypes:
    """Clusters channel maps into K prototypes (Lloyd's iterations; faiss finds the nearest centroids).

    Args:
        rows: channel maps, (M, H, W) float32 on the CPU; all of them are used, none is copied.
        n_clusters: K.
        seed: of the rows that the centroids start from; the same seed gives the same prototypes.
        n_iter: iterations over all rows at most; fewer when they no longer help.
        device: ``"cuda…"`` searches on the GPU if faiss was built for it.
        progress: label of a progress bar; None shows none.
        weights: (M,) float32, for how many maps each row stands; None: one.

    Raises:
        UserError: fewer rows, or fewer distinct rows, than K; values or weights that no distance can be computed of.
    """
    check_numbers(n_clusters, n_iter)
    matrix = Rows(rows.reshape(len(rows), -1).contiguous(), device, weights)
    return cluster_rows(matrix, rows.shape[1:], n_clusters, seed, n_iter, progress)


def check_numbers(n_clusters: int, n_iter: int) -> None:
    """Refuses less than one cluster or iteration."""
    if n_clusters < 1 or n_iter < 1:
        raise UserError(f"{n_clusters} clusters in {n_iter} iterations: both must be at least 1")


def cluster_rows(
    rows: Rows, size_hw: Sequence[int], n_clusters: int, seed: int, n_iter: int, progress: str | None
) -> Prototypes:
    """See :func:`cluster_maps`, which makes a matrix of the maps and folds the centroids back to ``size_hw``."""
    if rows.num_rows < n_clusters:
        raise UserError(
            f"{rows.num_rows} channel maps can not make {n_clusters} clusters; give more images or a smaller K"
        )
    centroids, inertia = _start(rows, n_clusters, seed), []
    with Progress(total=n_iter, desc=progress, unit="iteration", disable=progress is None, leave=True) as bar:
        labels, centroids = _assign(rows, centroids, inertia)
        for _ in range(n_iter):
            labels, centroids = _iterate(rows, labels, centroids, inertia)
            bar.set_postfix_str(f"inertia {inertia[-1]:.6g}", refresh=False)
            bar.update()
            if inertia[-2] - inertia[-1] <= _TOLERANCE * inertia[-2]:
                bar.total = bar.n  # converged: the bar is full
                break
    sizes = rows.sizes(labels, n_clusters).round().long()
    return Prototypes(rows.from_origin(centroids).view(-1, *size_hw), sizes, inertia, rows.num_rows)


def _iterate(rows: Rows, labels: Tensor, centroids: Tensor, inertia: list[float]) -> tuple[Tensor, Tensor]:
    sums, sizes = rows.sums(labels, len(centroids)), rows.sizes(labels, len(centroids))
    return _assign(rows, (sums / sizes[:, None]).float(), inertia)


def _assign(rows: Rows, centroids: Tensor, inertia: list[float]) -> tuple[Tensor, Tensor]:
    """Assigns every row; a centroid without rows moves onto the row farthest from its own centroid.

    Moving a centroid that serves no row can only lower the inertia, so it never rises.
    """
    for _ in range(len(centroids) + 1):
        labels, distances = rows.nearest(centroids)
        empty = torch.nonzero(rows.sizes(labels, len(centroids)) == 0).flatten()
        if not len(empty):
            inertia.append(rows.inertia(distances))
            return labels, centroids
        centroids[empty] = rows.farthest(distances, len(empty))
    raise UserError(
        f"the channel maps are too alike to tell {len(centroids)} clusters apart; use a smaller K or more images"
    )


def _start(everything: Rows, n_clusters: int, seed: int) -> Tensor:
    """Centroids to start from, (K, D): clusters of a small random part of the rows."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(everything.num_rows)
    if (weights := everything.take_weights(order)) is not None:
        order = order[(weights > 0).numpy()]  # the others count for nothing
    few = order[: _START_ROWS * n_clusters]
    rows, weights = everything.take(few), everything.take_weights(few)
    chosen = _spread_out(rows, weights, n_clusters, rng) if len(few) >= n_clusters else []
    if _num_distinct(rows[chosen]) < n_clusters:
        return _distinct_rows(everything, order, n_clusters)
    centroids = rows[chosen]
    if len(few) < everything.num_rows:
        part, inertia = Rows(rows, weights=weights, surveyed=True), []
        labels, centroids = _assign(part, centroids, inertia)
        for _ in range(_START_ITERATIONS):
            labels, centroids = _iterate(part, labels, centroids, inertia)
    return centroids


def _spread_out(rows: Tensor, weights: Tensor | None, count: int, rng: np.random.Generator) -> list[int]:
    """Numbers of rows far from one another: greedy k-means++ (Arthur 2007), the best of some candidates each time."""
    weighted = np.ones(len(rows)) if weights is None else weights.double().numpy()
    squares = rows.square().sum(1)
    chosen = [int(rng.choice(len(rows), p=weighted / weighted.sum()))]
    nearest = _distances(rows, squares, chosen)[:, 0]
    for _ in range(count - 1):
        shares = np.cumsum(nearest.double().numpy() * weighted)
        drawn = np.searchsorted(shares, rng.random(_START_TRIALS) * shares[-1]).clip(max=len(rows) - 1)
        distances = torch.minimum(_distances(rows, squares, drawn), nearest[:, None])
        best = int((distances.double().numpy() * weighted[:, None]).sum(0).argmin())
        nearest = distances[:, best]
        chosen.append(int(drawn[best]))
    return chosen


def _distances(rows: Tensor, squares: Tensor, chosen: np.ndarray | list[int]) -> Tensor:
    """Squared distances of all rows to some of them, (M, len(chosen))."""
    others = torch.as_tensor(chosen)
    return (squares[:, None] - 2 * rows @ rows[others].T + squares[others]).clamp_(min=0)


def _digest(row: np.ndarray) -> bytes:
    return hashlib.blake2b(row + np.float32(0), digest_size=16).digest()  # + 0: -0.0 equals 0.0


def _num_distinct(rows: Tensor) -> int:
    return len({_digest(row) for row in rows.numpy()})


def _distinct_rows(everything: Rows, order: np.ndarray, n_clusters: int) -> Tensor:
    """The first ``n_clusters`` rows in the given order, no two of them with the same content."""
    seen: dict[bytes, np.ndarray] = {}
    for first in range(0, len(order), _START_ROWS * n_clusters):
        for row in everything.take(order[first : first + _START_ROWS * n_clusters]).numpy():
            seen.setdefault(_digest(row), row)
            if len(seen) == n_clusters:
                return torch.from_numpy(np.stack(list(seen.values())))
    raise UserError(
        f"only {len(seen)} of {len(order)} channel maps are distinct, too few for {n_clusters} clusters; "
        "give more varied images or a smaller K"
    )
