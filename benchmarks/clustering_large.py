"""Clustering of 100,000 rows of 1,600 values into 100 against scikit-learn's k-means, both to the end of their own.

Rows are noise around 200 points, and noise alone. Needs scikit-learn (``pip install scikit-learn``) and 3 GB.
"""

from argparse import Namespace
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from benchmarks.compare import parse_args, report, time_in_turn
from ms2a.memory.clustering import cluster_maps
from ms2a.memory.rows import Rows


def main(argv: Sequence[str] | None = None) -> None:
    """Measures; every round has another seed."""
    args = parse_args(__doc__, argv, rows=100_000, values=1_600, clusters=100, centres=200)
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((args.rows, args.values), dtype=np.float32)
    compare("noise", rows, args)
    centres = rng.standard_normal((args.centres, args.values), dtype=np.float32) / 2
    rows += centres[rng.integers(0, args.centres, args.rows)]
    compare("noise around points", rows, args)


def compare(name: str, rows: np.ndarray, args: Namespace) -> None:
    """Reports seconds and inertia."""
    maps, seeds = torch.from_numpy(rows)[:, None], [iter([0, *range(args.rounds)]) for _ in range(2)]
    found: list[list[Tensor]] = [[], []]

    def theirs() -> None:
        kmeans = KMeans(args.clusters, n_init=1, random_state=next(seeds[0])).fit(rows)
        found[0].append(torch.from_numpy(kmeans.cluster_centers_))

    def ours() -> None:
        found[1].append(cluster_maps(maps, args.clusters, next(seeds[1])).centroids.flatten(1))

    seconds = time_in_turn([theirs, ours], args.rounds)
    report(f"Clustering of {name}, time of scikit-learn to ours", *seconds, "≥ 4", args.results, rows=len(rows))
    measured = Rows(torch.from_numpy(rows))
    inertia = [[float(measured.nearest(centroids)[1].sum()) for centroids in side[1:]] for side in found]
    claim = f"Clustering of {name}, inertia of ours to scikit-learn's"
    report(claim, *reversed(inertia), "≤ 1.03", args.results, rows=len(rows))


if __name__ == "__main__":
    main()
