import numpy as np
import pytest
import torch

from ms2a.errors import UserError
from ms2a.memory.sampling import ChannelMapSample, row_weights

CHANNELS, SIZE = 6, (2, 3)


def _maps(keys):
    """Maps whose every value tells image and channel apart: 100 · image number + channel."""
    numbers = torch.tensor([float(key) for key in keys])
    values = 100 * numbers[:, None] + torch.arange(CHANNELS)
    return values[:, :, None, None].expand(-1, -1, *SIZE)


def _sample(keys, max_rows=20, seed=0, level=0, batch=4):
    sample = ChannelMapSample(max_rows, seed, level)
    for start in range(0, len(keys), batch):
        sample.add(keys[start : start + batch], _maps(keys[start : start + batch]))
    return sample


KEYS = [str(number) for number in range(30)]


def test_keeps_the_rows_of_smallest_hash_against_a_slow_reference():
    sample = _sample(KEYS)
    hashed = []
    for key in KEYS:
        for channel, value in enumerate(sample._hash_channels(key, CHANNELS)):
            hashed.append((int(value), 100.0 * int(key) + channel))
    expected = [value for _, value in sorted(hashed)[:20]]
    assert sample.rows().shape == (20, *SIZE)
    assert sample.rows()[:, 0, 0].tolist() == expected
    assert sample.num_seen == 30 * CHANNELS


def test_order_batches_and_shards_do_not_change_the_sample():
    rows = _sample(KEYS).rows()
    shuffled = [KEYS[index] for index in np.random.default_rng(1).permutation(30)]
    assert torch.equal(_sample(shuffled, batch=7).rows(), rows)
    first, second, third = _sample(KEYS[:5]), _sample(KEYS[5:6]), _sample(KEYS[6:])
    third.merge(first)
    third.merge(second)
    assert torch.equal(third.rows(), rows)
    assert third.num_seen == 30 * CHANNELS


def test_merging_into_an_empty_shard_and_from_one():
    whole, empty = _sample(KEYS), ChannelMapSample(20, 0, 0)
    rows = whole.rows().clone()
    whole.merge(ChannelMapSample(20, 0, 0))
    empty.merge(whole)
    assert torch.equal(whole.rows(), rows)
    assert torch.equal(empty.rows(), rows)


def test_merge_refuses_another_sampling():
    with pytest.raises(ValueError, match="do not merge"):
        _sample(KEYS).merge(_sample(KEYS, seed=1))


def test_the_same_image_twice_counts_once():
    twice = _sample(KEYS + KEYS[:7])
    assert torch.equal(twice.rows(), _sample(KEYS).rows())
    assert len(_sample(KEYS[:2] + KEYS[:2], max_rows=0)) == 2 * CHANNELS
    assert len(_sample(["3", "3"], max_rows=0, batch=2)) == CHANNELS


def test_reading_the_rows_in_between_changes_nothing():
    sample = _sample(KEYS[:10])
    sample.rows()
    for key in KEYS[10:]:
        sample.add([key], _maps([key]))
    assert torch.equal(sample.rows(), _sample(KEYS).rows())


def test_seed_and_level_change_the_sample():
    rows = _sample(KEYS).rows()
    assert not torch.equal(_sample(KEYS, seed=1).rows(), rows)
    assert not torch.equal(_sample(KEYS, level=1).rows(), rows)


def test_zero_keeps_everything():
    rows = _sample(KEYS, max_rows=0).rows()
    assert sorted(rows[:, 0, 0].tolist()) == sorted(_maps(KEYS)[:, :, 0, 0].flatten().tolist())


def test_buffer_stays_within_the_bound():
    sample = _sample(KEYS * 1, max_rows=20)
    assert len(sample._kept.buffer) == 20
    for number in range(100, 200):
        sample.add([str(number)], _maps([str(number)]))
        assert len(sample._kept.buffer) == len(sample) == 20


def test_every_map_is_equally_likely():
    """Over 400 seeds each of 180 maps should be kept 400 · 20 / 180 = 44.4 times."""
    counts = np.zeros((30, CHANNELS))
    for seed in range(400):
        values = _sample(KEYS, seed=seed, batch=30).rows()[:, 0, 0].long()
        np.add.at(counts, (values // 100, values % 100), 1)
    expected = 400 * 20 / 180
    # Binomial: a standard deviation of 6.3 a cell, so chi-square / degrees of freedom is near 1 - 20/180.
    assert 0.6 < ((counts - expected) ** 2 / expected).sum() / 179 < 1.2
    assert np.abs(counts.sum(axis=0) / 30 - expected).max() < 5  # no channel preferred
    assert np.abs(counts.sum(axis=1) / CHANNELS - expected).max() < 11  # no image preferred


def test_half_precision_maps_become_float32():
    sample = ChannelMapSample(0, 0, 0)
    sample.add(["1"], _maps(["1"]).half())
    assert sample.rows().dtype == torch.float32


def test_another_size_is_refused_naming_both_and_the_image():
    sample = _sample(KEYS)
    with pytest.raises(UserError, match=r"wide\.png at level 0 is 2x9, an earlier one 2x3"):
        sample.add(["wide.png"], torch.zeros(1, CHANNELS, 2, 9))


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match=r"bad\.png hold values that are not finite"):
        ChannelMapSample(0, 0, 0).add(["bad.png"], torch.full((1, 2, 3, 3), float("nan")))


def test_nothing_added_and_negative_bound_are_refused():
    with pytest.raises(UserError, match="no channel map"):
        ChannelMapSample(5, 0, 0).rows()
    with pytest.raises(UserError, match="-1"):
        ChannelMapSample(-1, 0, 0)


def test_only_the_offered_maps_are_sampled():
    offered = torch.tensor([[True, False, True, False, False, False], [False] * 6])
    sample = ChannelMapSample(0, seed=0, level=0)
    sample.add(["1", "2"], _maps(["1", "2"]), offered)
    assert sorted(sample.rows()[:, 0, 0].tolist()) == [100, 102]
    assert sample.num_seen == 2


def _norm_sample(keys, max_rows=20, seed=0, batch=4):
    sample = ChannelMapSample(max_rows, seed, 0, by="norm")
    for start in range(0, len(keys), batch):
        sample.add(keys[start : start + batch], _maps(keys[start : start + batch]) + 1)
    return sample


def test_by_norm_keeps_the_smallest_quotients_against_a_slow_reference():
    sample = _norm_sample(KEYS)
    quotients = []
    for key in KEYS:
        for channel, number in enumerate(sample._hash_channels(key, CHANNELS)):
            value = 100.0 * int(key) + channel + 1
            quotients.append((int(number) / 2**64 / (value * 6**0.5), value))
    assert sample.rows()[:, 0, 0].tolist() == [value for _, value in sorted(quotients)[:20]]
    assert sample.threshold == pytest.approx(sorted(quotients)[19][0])


def test_by_norm_the_weighted_sum_is_unbiased():
    """Over 300 seeds the weighted sums of ones and of values have the means of the whole set."""
    everything = (_maps(KEYS) + 1)[:, :, 0, 0].double()
    counts, sums = [], []
    for seed in range(300):
        sample = _norm_sample(KEYS, max_rows=40, seed=seed, batch=30)
        rows = sample.rows()
        weights = row_weights(rows, sample.threshold)
        assert weights.min() >= 1
        counts.append(float(weights.sum()))
        sums.append(float((weights * rows[:, 0, 0]).sum()))
    assert np.mean(counts) == pytest.approx(everything.numel(), rel=0.1)
    assert np.mean(sums) == pytest.approx(float(everything.sum()), rel=0.05)


def test_by_norm_shards_and_order_do_not_change_the_sample():
    rows = _norm_sample(KEYS).rows()
    first, second = _norm_sample(KEYS[11:]), _norm_sample(KEYS[:11])
    first.merge(second)
    assert torch.equal(first.rows(), rows)
    assert torch.equal(_norm_sample(KEYS[::-1], batch=7).rows(), rows)


def test_rows_of_a_sample_that_is_not_full_weigh_1_and_zeros_are_kept():
    sample = ChannelMapSample(20, 0, 0, by="norm")
    sample.add(["1"], torch.zeros(1, CHANNELS, *SIZE))
    assert len(sample) == CHANNELS
    assert row_weights(sample.rows(), sample.threshold).tolist() == [1.0] * CHANNELS


def test_rows_of_a_sample_that_holds_all_maps_weigh_1():
    sample = _norm_sample(KEYS[:4], max_rows=4 * CHANNELS, batch=2)
    assert len(sample) == 4 * CHANNELS
    assert row_weights(sample.rows(), sample.threshold).tolist() == [1.0] * len(sample)
    sample.add(KEYS[4:5], _maps(KEYS[4:5]) + 1)
    assert torch.equal(sample.rows(), _norm_sample(KEYS[:5], max_rows=4 * CHANNELS, batch=5).rows())
    assert sample.threshold is not None


@pytest.mark.parametrize("max_rows", [0, 20])
def test_a_restored_sample_goes_on_as_the_saved_one(max_rows, tmp_path):
    sample = _sample(KEYS[:15], max_rows)
    torch.save(sample.state(), tmp_path / "state.pth")
    again = ChannelMapSample(max_rows, 0, 0).restore(torch.load(tmp_path / "state.pth", weights_only=True))
    for key in KEYS[15:]:
        again.add([key], _maps([key]))
    whole = _sample(KEYS, max_rows)
    assert torch.equal(again.rows(), whole.rows())
    assert again.num_seen == whole.num_seen


def test_a_file_of_a_sample_is_no_larger_than_its_rows(tmp_path):
    sample = _sample(KEYS[:2], max_rows=100_000)
    torch.save(sample.rows(), tmp_path / "rows.pth")
    assert (tmp_path / "rows.pth").stat().st_size < 4096


def test_a_sample_that_no_machine_can_hold_is_refused():
    with pytest.raises(UserError, match="give a smaller `max_samples`"):
        ChannelMapSample(10**13, 0, 0).add(["1"], _maps(["1"]))


def test_a_row_stands_for_itself_at_least():
    rows = torch.zeros(2, 2, 2)
    rows[0, 0, 0], rows[1, 1, 1] = 10, 1
    assert row_weights(rows, 0.5).tolist() == [1, 2]  # the heavy row's chance to get in is no more than certain
