import faiss
import numpy as np
import pytest
import torch
import torch.distributed as dist

from ms2a.defaults import CLUSTER_ITERATIONS
from ms2a.errors import UserError
from ms2a.memory.clustering import _assign, cluster_maps
from ms2a.memory.rows import Rows
from ms2a.memory.shared_rows import cluster_shared_maps


def _blobs(n_blobs=5, rows_each=40, size=(3, 4), spread=0.05, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(n_blobs, 1, *size, generator=generator) * 3
    return (centres + spread * torch.randn(n_blobs, rows_each, *size, generator=generator)).flatten(0, 1)


def _slow_inertia(rows, centroids):
    rows, centroids = rows.flatten(1).double(), centroids.flatten(1).double()
    return sum(min(float(((row - centroid) ** 2).sum()) for centroid in centroids) for row in rows)


def test_two_pairs_of_numbers_by_hand():
    rows = torch.tensor([0.0, 2.0, 10.0, 14.0]).view(4, 1, 1)
    for seed in range(8):
        found = cluster_maps(rows, 2, seed)
        assert sorted(found.centroids.flatten().tolist()) == [1.0, 12.0]
        assert found.sizes.tolist() == [2, 2]
        assert found.inertia[-1] == pytest.approx(1 + 1 + 4 + 4)


def test_centroids_are_means_and_inertia_is_right_against_a_slow_loop():
    rows = torch.rand(200, 3, 4, generator=torch.Generator().manual_seed(3))
    found = cluster_maps(rows, 7, seed=1, n_iter=100)
    assert found.centroids.shape == (7, 3, 4)
    assert found.centroids.dtype == torch.float32
    assert found.inertia[-1] == pytest.approx(_slow_inertia(rows, found.centroids), rel=1e-5)
    distances = ((rows[:, None] - found.centroids[None]) ** 2).sum(dim=(2, 3))
    labels = distances.argmin(dim=1)
    assert torch.bincount(labels, minlength=7).equal(found.sizes)
    for index, centroid in enumerate(found.centroids):
        torch.testing.assert_close(rows[labels == index].mean(dim=0), centroid, atol=1e-4, rtol=0)


def test_inertia_never_rises():
    rows = torch.rand(500, 4, 4, generator=torch.Generator().manual_seed(0))
    for n_clusters in (2, 17, 200, 499):
        inertia = np.array(cluster_maps(rows, n_clusters, seed=0, n_iter=40).inertia)
        assert (np.diff(inertia) <= 1e-6 * inertia[0]).all()
        assert inertia[-1] < inertia[0]


def test_same_seed_same_prototypes_and_rows_untouched():
    rows = _blobs()
    before = rows.clone()
    first, second = cluster_maps(rows, 8, seed=5), cluster_maps(rows, 8, seed=5)
    assert torch.equal(first.centroids, second.centroids)
    assert not torch.equal(first.centroids, cluster_maps(rows, 8, seed=6).centroids)
    assert torch.equal(rows, before)


def test_stops_when_nothing_changes_and_after_n_iter():
    assert len(cluster_maps(_blobs(), 5, seed=0, n_iter=1000).inertia) < 50
    assert len(cluster_maps(_blobs(), 5, seed=0, n_iter=1).inertia) == 2


def test_as_many_clusters_as_rows():
    rows = torch.arange(12.0).view(6, 1, 2)
    found = cluster_maps(rows, 6, seed=0)
    assert sorted(found.centroids.flatten().tolist()) == list(range(12))
    assert found.inertia[-1] == 0


def test_fewer_rows_than_clusters_names_both():
    with pytest.raises(UserError, match="^6 channel maps can not make 10 clusters"):
        cluster_maps(torch.rand(6, 2, 2), 10, seed=0)


def test_fewer_distinct_rows_than_clusters_names_both():
    rows = torch.arange(3.0).view(3, 1, 1).repeat(20, 1, 1)
    with pytest.raises(UserError, match="only 3 of 60 channel maps are distinct, too few for 4"):
        cluster_maps(rows, 4, seed=0)
    with pytest.raises(UserError, match="only 1 of 9"):
        cluster_maps(torch.tensor([0.0, -0.0, 0.0]).repeat(3).view(9, 1, 1), 2, seed=0)


def test_many_identical_rows_leave_no_cluster_empty():
    rows = torch.cat([torch.zeros(500, 2, 2), torch.rand(9, 2, 2, generator=torch.Generator().manual_seed(0)) + 1])
    for seed in range(5):
        found = cluster_maps(rows, 10, seed)
        assert found.sizes.sum() == 509
        assert found.sizes.min() > 0
        assert found.inertia[-1] == pytest.approx(0, abs=1e-5)


def test_an_empty_centroid_moves_to_the_farthest_row():
    rows = torch.tensor([0.0, 1.0, 2.0, 50.0]).view(4, 1)
    inertia = []
    labels, centroids = _assign(Rows(rows), torch.tensor([[1.0], [-90.0]]), inertia)
    assert centroids.flatten().tolist() == [1.0, 50.0]
    assert labels.tolist() == [0, 0, 0, 1]
    assert inertia == [2.0]


def test_rows_too_alike_are_refused():
    with pytest.raises(UserError, match="too alike to tell 2 clusters"):
        _assign(Rows(torch.ones(5, 1)), torch.ones(2, 1), [])


def test_nonsense_numbers_are_refused():
    for n_clusters, n_iter in ((0, 5), (3, 0)):
        with pytest.raises(UserError, match="at least 1"):
            cluster_maps(torch.rand(9, 2, 2), n_clusters, 0, n_iter)


def test_a_row_of_weight_3_counts_as_three_rows():
    rows = torch.rand(60, 2, 3, generator=torch.Generator().manual_seed(0))
    weights = torch.randint(1, 4, (60,), generator=torch.Generator().manual_seed(1))
    found = cluster_maps(rows, 5, seed=0, n_iter=100, weights=weights.float())
    repeated = rows.repeat_interleave(weights, 0)
    assert found.inertia[-1] == pytest.approx(_slow_inertia(repeated, found.centroids), rel=1e-5)
    assert found.sizes.sum() == weights.sum()
    labels = torch.cdist(repeated.flatten(1), found.centroids.flatten(1)).argmin(1)
    for index, centroid in enumerate(found.centroids):
        torch.testing.assert_close(repeated[labels == index].mean(dim=0), centroid, atol=1e-4, rtol=0)


def test_a_start_from_few_rows_is_better_than_random_rows():
    rows = _blobs(n_blobs=20, rows_each=200, spread=1.0)  # more rows than the start looks at
    random = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:20]]
    found = cluster_maps(rows, 20, seed=0)
    assert len(found.inertia) <= 1 + CLUSTER_ITERATIONS
    assert found.inertia[0] < 0.8 * _slow_inertia(rows, random)


def _cases():
    """Name, rows (M, D), weights and K: what k-means meets, and what float32 is bad at."""
    generator = torch.Generator().manual_seed(0)
    blobs = (torch.randn(30, 1, 24, generator=generator) * 2 + torch.randn(30, 160, 24, generator=generator)).flatten(
        0, 1
    )
    weights = torch.rand(len(blobs), generator=generator) * 9 + 0.1
    few = weights.clone()
    few[torch.randperm(len(blobs), generator=generator)[:3800]] = 0
    twelve = torch.randn(12, 24, generator=generator)[torch.randint(12, (4800,), generator=generator)]
    sparse = blobs * (torch.rand(blobs.shape, generator=generator) > 0.9)
    yield "plain", blobs, None, 20
    yield "weighted", blobs, weights, 20
    yield "most weights 0", blobs, few, 20
    yield "12 distinct rows", twelve, None, 12
    yield "90 % zeros", sparse, None, 20
    for offset in (1, 10, 100, 1_000, 3_000, 10_000):
        yield f"offset {offset}", blobs + offset, None, 20
    yield "offset 1000, weighted", blobs + 1_000, weights, 20


CASES = {name: case for name, *case in _cases()}


def _true_inertia(rows, weights, centroids):
    distances = torch.cdist(rows.double(), centroids.double(), compute_mode="donot_use_mm_for_euclid_dist")
    return float((distances.square().amin(1) * (1 if weights is None else weights.double())).sum())


@pytest.mark.parametrize("name", CASES)
def test_the_inertia_told_is_that_of_the_centroids_and_never_rises(name):
    rows, weights, n_clusters = CASES[name]
    found = cluster_maps(rows[:, None], n_clusters, seed=0, weights=weights)
    true = _true_inertia(rows, weights, found.centroids[:, 0])
    # Centroids are rounded to float32 at their own offset.
    rounding = float((rows.abs().max() * 2**-24) ** 2 * rows.numel())
    assert found.inertia[-1] == pytest.approx(true, rel=1e-5, abs=10 * rounding)
    of_float32 = 1e-10 * float((rows - rows.mean(0)).double().square().sum())
    assert (np.diff(found.inertia) <= 1e-6 * found.inertia[0] + of_float32).all()
    total = len(rows) if weights is None else float(weights.double().sum())
    assert int(found.sizes.sum()) == pytest.approx(total, abs=n_clusters)
    assert found.sizes.min() > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_best_of_ten_seeds_is_as_good_as_scikit_learns(name):
    cluster = pytest.importorskip("sklearn.cluster")
    rows, weights, n_clusters = CASES[name]
    mean = rows.double().mean(0)
    theirs = cluster.KMeans(n_clusters, n_init=10, random_state=0)
    theirs.fit((rows.double() - mean).numpy(), sample_weight=None if weights is None else weights.double().numpy())
    best = _true_inertia(rows, weights, torch.from_numpy(theirs.cluster_centers_) + mean)
    found = (cluster_maps(rows[:, None], n_clusters, seed, weights=weights).centroids[:, 0] for seed in range(10))
    ours = min(_true_inertia(rows, weights, centroids) for centroids in found)
    assert ours <= 1.03 * best + 1e-5


def test_an_offset_changes_no_cluster():
    rows, _, n_clusters = CASES["plain"]
    # Rows that float32 holds exactly with and without the offset.
    rows = (rows * 64).round() / 64
    plain = cluster_maps(rows[:, None], n_clusters, seed=0)
    moved = cluster_maps(rows[:, None] + 4096, n_clusters, seed=0)
    assert torch.equal(moved.sizes, plain.sizes)
    assert moved.inertia == pytest.approx(plain.inertia, rel=1e-6)
    torch.testing.assert_close(moved.centroids - 4096, plain.centroids, atol=1e-3, rtol=0)


def test_sums_of_a_large_cluster_do_not_drift():
    rows = torch.full((2_000_000, 1), 0.1)
    rows[::2] += 0.3
    sums = Rows(rows).sums(torch.zeros(len(rows), dtype=torch.long), 1)
    assert float(sums) == pytest.approx(float(rows.double().sum()), rel=1e-6)


def test_rows_of_weight_0_make_no_cluster():
    rows = torch.tensor([0.0, 1.0, 50.0, 60.0]).view(4, 1, 1)
    found = cluster_maps(rows, 2, seed=0, weights=torch.tensor([1.0, 1.0, 0.0, 0.0]))
    assert sorted(found.centroids.flatten().tolist()) == [0.0, 1.0]
    with pytest.raises(UserError, match="only 2 of 2 channel maps are distinct"):
        cluster_maps(rows, 3, seed=0, weights=torch.tensor([1.0, 1.0, 0.0, 0.0]))


@pytest.mark.parametrize(
    ("value", "message"),
    [(float("nan"), "NaN"), (float("inf"), "infinite"), (1e20, "so large that float32 can not hold their squares")],
)
def test_values_without_distances_are_refused(value, message):
    rows = torch.rand(20, 2, 2)
    rows[7, 1, 1] = value
    with pytest.raises(UserError, match=message):
        cluster_maps(rows, 3, seed=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_weights_that_are_none_are_refused(value):
    weights = torch.ones(20)
    weights[3] = value
    with pytest.raises(UserError, match="weights are negative, NaN or infinite"):
        cluster_maps(torch.rand(20, 2, 2), 3, seed=0, weights=weights)


def _outcome(name, n_threads):
    """Sizes, inertia and centroids of a case, by so many threads."""
    rows, weights, n_clusters = CASES[name]
    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    torch.set_num_threads(n_threads)
    faiss.omp_set_num_threads(n_threads)
    try:
        return cluster_maps(rows[:, None], n_clusters, seed=0, weights=weights)
    finally:
        torch.set_num_threads(before[0])
        faiss.omp_set_num_threads(before[1])


@pytest.mark.parametrize("name", CASES)
def test_any_number_of_threads_makes_the_same_clusters(name):
    one, three = _outcome(name, 1), _outcome(name, 3)
    assert three.sizes.tolist() == one.sizes.tolist()
    # Products of matrices are split among threads, on some processors at places where float32 rounds otherwise.
    assert three.inertia == pytest.approx(one.inertia, rel=1e-7)
    spread = float((one.centroids - one.centroids.mean(0)).abs().max())
    assert float((three.centroids - one.centroids).abs().max()) <= 1e-6 * spread + 2e-7 * float(
        one.centroids.abs().max()
    )


def _cluster_part(rank, world, folder):
    """One of several processes that each hold a part of the rows of every case."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    outcomes = {}
    for name, (rows, weights, n_clusters) in CASES.items():
        ends = [0, *(len(rows) * (part + 1) // world - 7 * (part + 1 < world) for part in range(world))]
        part = slice(ends[rank], ends[rank + 1])  # of unequal lengths
        own = None if weights is None else weights[part]
        found = cluster_shared_maps(rows[part, None].contiguous(), n_clusters, seed=0, weights=own)
        outcomes[name] = dict(centroids=found.centroids, sizes=found.sizes, inertia=found.inertia)
    torch.save(outcomes, f"{folder}/{rank}.pth")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 3])
def test_any_number_of_processes_makes_the_same_clusters(tmp_path, world):
    torch.multiprocessing.spawn(_cluster_part, (world, str(tmp_path)), nprocs=world)
    outcomes = [torch.load(tmp_path / f"{rank}.pth", weights_only=True) for rank in range(world)]
    for name, (rows, *_) in CASES.items():
        alone, found = _outcome(name, 1), outcomes[0][name]
        of_float32 = 1e-10 * float((rows - rows.mean(0)).double().square().sum())
        assert all(torch.equal(each[name]["centroids"], found["centroids"]) for each in outcomes), name
        assert found["inertia"][-1] == pytest.approx(alone.inertia[-1], rel=1e-5, abs=of_float32), name
        assert int(found["sizes"].sum()) == pytest.approx(int(alone.sizes.sum()), abs=len(alone.sizes)), name
