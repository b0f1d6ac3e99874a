"""Clustering a sample by norm: each row counts for as many maps as it stands for."""

import pytest
import torch

from ms2a.errors import UserError
from ms2a.memory.clustering import cluster_maps
from ms2a.memory.files import check_replaceable, features_path, prototypes_path, read_prototypes, write_maps
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


def test_a_sample_never_takes_the_place_of_another_domains_prototypes_nor_they_its(tmp_path):
    maps = [torch.rand(9, 2, 3)]
    for domain in ("a", "b"):
        write_maps(features_path(tmp_path, domain), maps, dict(domain=domain, prototype="map"))
    write_maps(features_path(tmp_path, "b_cluster"), maps, dict(domain="b_cluster", prototype="map"))
    cluster_domains(tmp_path, ["a"], 2, device="cpu")
    cluster_domains(tmp_path, ["a"], 3, device="cpu")  # its own are replaced
    before = (tmp_path / "b_cluster.pth").read_bytes()
    with pytest.raises(UserError, match="b_cluster.pth holds a sample of kind 'map' of domain 'b_cluster'"):
        cluster_domains(tmp_path, ["b"], 2, device="cpu")
    assert (tmp_path / "b_cluster.pth").read_bytes() == before
    with pytest.raises(UserError, match="a_cluster.pth holds prototypes of domain 'a' and would be replaced"):
        check_replaceable(features_path(tmp_path, "a_cluster"), "a_cluster", "map")
    write_maps(features_path(tmp_path, "a_colour"), maps, dict(domain="a", prototype="colour"))
    check_replaceable(features_path(tmp_path, "a_colour"), "a", "colour")
    with pytest.raises(UserError, match="of kind 'colour' of domain 'a'"):
        check_replaceable(features_path(tmp_path, "a_colour"), "a_colour", "map")
    for content in (b"", b"damaged"):
        (tmp_path / "c.pth").write_bytes(content)
        check_replaceable(tmp_path / "c.pth", "c", "map")
