"""Clustering a sample by norm: each row counts for as many maps as it stands for."""

import torch

from ms2a.memory.clustering import cluster_maps
from ms2a.memory.files import features_path, prototypes_path, read_prototypes, write_maps
from ms2a.memory.sampling import row_weights
from ms2a.storage.cluster import cluster_domains


def test_rows_of_a_sample_by_norm_are_weighted_and_those_of_a_uniform_one_are_not(tmp_path):
    torch.manual_seed(0)
    maps = [torch.rand(60, *size) * torch.rand(60, 1, 1) for size in ((4, 6), (2, 3))]
    thresholds = [0.1, 0.5]
    for kind in ("norm", "uniform"):
        write_maps(features_path(tmp_path, kind), maps, dict(sample_by=kind, thresholds=thresholds))
    cluster_domains(tmp_path, ["norm", "uniform"], 4, seed=3, device="cpu")
    for level, threshold in enumerate(thresholds):
        plain = cluster_maps(maps[level], 4, seed=3).centroids
        weighted = cluster_maps(maps[level], 4, seed=3, weights=row_weights(maps[level], threshold)).centroids
        assert not torch.allclose(plain, weighted, atol=1e-3)
        torch.testing.assert_close(read_prototypes(prototypes_path(tmp_path, "norm"))[level], weighted)
        torch.testing.assert_close(read_prototypes(prototypes_path(tmp_path, "uniform"))[level], plain)
