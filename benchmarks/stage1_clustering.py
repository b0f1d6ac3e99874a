"""Stage I's clustering against mini-batch k-means, and what sampling costs.

The rows are the neck maps of rendered pictures of indus_synth and of their mirror images; the detector's weights are
random, its batch norms fitted to the pictures. Mini-batch k-means as the authors' release uses it, 100 batches of 4,096
rows, draws them from all rows; ours takes two iterations over a sample of the default size, drawn by norm. The last
rows tell what a sample costs, drawn by norm, as by default, and uniformly. Inertia is always that of all rows.
"""

import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import cv2
import torch
from torch import Tensor, nn

from benchmarks.compare import parse_args, report, time_in_turn
from benchmarks.detectors import PLAIN, random_detector
from ms2a.benchmark.indus_synth import Sizes, make_benchmark
from ms2a.defaults import MAX_SAMPLES, NORM, UNIFORM
from ms2a.memory.clustering import cluster_maps
from ms2a.memory.rows import Rows
from ms2a.memory.sampling import ChannelMapSample, row_weights

CHANNELS, BATCH = 128, 8
ITERATIONS = 2  # from the start that k-means++ gives
FEW = Sizes(train=280, val=1, pool=10, unlabelled=1, test=1, shots=(10,), split_seeds=1)


def neck_maps(num_images: int) -> list[Tensor]:
    """All rows of each level, (M, H, W), an image after the other."""
    model = random_detector(PLAIN, 0.25, channels=CHANNELS)[1]
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        make_benchmark(folder, seed=0, sizes=FEW)
        files = sorted(Path(folder).rglob("*.jpg"))[:num_images]
        pictures = torch.stack([torch.from_numpy(cv2.imread(str(path))).permute(2, 0, 1) for path in files])
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the mean over all batches
        model.train()
        for batch in pictures[::4].split(BATCH):
            model.neck(model.backbone(batch.float()))
        model.eval()
        both = torch.cat([pictures, pictures.flip(3)])
        found = [model.neck(model.backbone(batch.float())) for batch in both.split(BATCH)]
    return [torch.cat([level.flatten(0, 1) for level in levels]) for levels in zip(*found, strict=True)]


def draw(rows: Tensor, level: int, by: str) -> tuple[Tensor, Tensor | None]:
    """The sample that extraction would draw, and its weights."""
    sample = ChannelMapSample(MAX_SAMPLES, 0, level, by)
    for number, maps in enumerate(rows.split(CHANNELS)):
        sample.add([str(number)], maps[None])
    return sample.rows(), row_weights(sample.rows(), sample.threshold) if by == NORM else None


def inertia_of(centroids: Tensor, rows: Rows) -> float:
    """Sum of squared distances of all rows to the nearest centroid."""
    return float(rows.nearest(centroids.flatten(1))[1].sum())


def mini_batch_kmeans(rows: Tensor, n_clusters: int, seed: int, batch: int = 4096, n_iter: int = 100) -> Tensor:
    """Centroids (K, D) of rows (M, D): each batch moves them by as much as it adds to what they have seen."""
    generator = torch.Generator().manual_seed(seed)
    centroids = rows[torch.randperm(len(rows), generator=generator)[:n_clusters]].clone()
    seen = torch.zeros(n_clusters)
    for _ in range(n_iter):
        drawn = rows[torch.randint(len(rows), (batch,), generator=generator)]
        labels = torch.cdist(drawn, centroids).argmin(1)
        counts = torch.bincount(labels, minlength=n_clusters).float()
        seen += counts
        sums = torch.zeros_like(centroids).index_add_(0, labels, drawn)
        centroids += (sums - counts[:, None] * centroids) / seen.clamp(min=1)[:, None]
    return centroids


def compare_level(level: int, maps: Tensor, args: Namespace) -> list[list[float]]:
    """Reports the inertia of one level, each round with another seed; returns both sides' seconds."""
    flat, rounds = Rows(maps.flatten(1)), range(args.rounds)
    sampled, weights = draw(maps, level, NORM)
    seeds = [iter([0, *rounds]) for _ in range(2)]  # the round that is not counted comes first
    centroids: list[list[Tensor]] = [[], []]

    def ours() -> None:
        centroids[0].append(cluster_maps(sampled, args.clusters, next(seeds[0]), ITERATIONS, weights=weights).centroids)

    def released() -> None:
        centroids[1].append(mini_batch_kmeans(flat.rows, args.clusters, next(seeds[1])))

    seconds = time_in_turn([ours, released], args.rounds)
    by_norm, mini_batch = ([inertia_of(each, flat) for each in side[1:]] for side in centroids)
    of_all = [cluster_maps(maps, args.clusters, seed, ITERATIONS).inertia[-1] for seed in rounds]
    # The same in as many iterations as help.
    few = draw(maps, level, UNIFORM)[0]
    uniform = [inertia_of(cluster_maps(few, args.clusters, seed).centroids, flat) for seed in rounds]
    weighted = [inertia_of(cluster_maps(sampled, args.clusters, s, weights=weights).centroids, flat) for s in rounds]
    converged = [cluster_maps(maps, args.clusters, seed).inertia[-1] for seed in rounds]
    for what, found, reference, goal in (
        ("inertia to mini-batch k-means", by_norm, mini_batch, "≤ 1"),
        ("inertia of the sample to all rows", by_norm, of_all, "≤ 1.01"),
        ("inertia of the sample to all rows, converged", weighted, converged, "≤ 1.01"),
        ("inertia of a uniform sample to all rows, converged", uniform, converged, "–"),
    ):
        claim = f"Clustering, level {level + 1}, {what}"
        report(claim, found, reference, goal, args.results, rows=len(maps), values=flat.rows.shape[1])
    return seconds


def main(argv: Sequence[str] | None = None) -> None:
    """Measures level by level, then reports the time of all."""
    args = parse_args(__doc__, argv, images=280, clusters=100)
    levels = [compare_level(level, maps, args) for level, maps in enumerate(neck_maps(args.images))]
    ours, released = ([sum(times) for times in zip(*side, strict=True)] for side in zip(*levels, strict=True))
    by_level = [round(median(theirs) / median(own), 2) for own, theirs in levels]
    report("Clustering, time of mini-batch k-means to ours", released, ours, "≥ 4", args.results, by_level=by_level)


if __name__ == "__main__":
    main()
