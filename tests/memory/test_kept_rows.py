import numpy as np
import pytest
import torch

from ms2a.memory.kept_rows import KeptRows, keep_smallest


@pytest.mark.parametrize("max_rows", [0, 1, 7, 50])
def test_in_place_is_the_plain_form(max_rows):
    """Batches of any size, with keys that were there before and keys that come twice."""
    rng = np.random.default_rng(max_rows)
    kept, keys, rows = KeptRows(max_rows), np.empty(0), torch.empty(0, 2, 3)
    for _ in range(60):
        new = rng.integers(0, 300, rng.integers(0, 20)).astype(np.float64)
        values = torch.from_numpy(new).float()[:, None, None].expand(-1, 2, 3)
        keys, rows = keep_smallest(keys, rows, new, values, max_rows)
        kept.insert(new, lambda places, values=values: values[torch.from_numpy(places)])
        order = np.argsort(kept.keys)
        np.testing.assert_array_equal(kept.keys[order], keys)
        assert not len(kept) or torch.equal(kept.rows[torch.from_numpy(order)], rows)
    kept.sort()
    np.testing.assert_array_equal(kept.keys, keys)
    assert torch.equal(kept.rows, rows)


def test_the_plain_form_by_hand():
    rows = torch.tensor([5.0, 1.0, 3.0])[:, None, None]
    keys, kept = keep_smallest(np.array([5.0]), rows[:1], np.array([1.0, 3.0]), rows[1:], 2)
    assert keys.tolist() == [1, 3] and kept.flatten().tolist() == [1, 3]


def test_rows_that_do_not_get_in_are_never_asked_for():
    kept = KeptRows(2)
    kept.insert(np.array([1.0, 2.0]), lambda places: torch.zeros(len(places), 1, 1))
    asked = []
    kept.insert(np.array([3.0, 1.5, 1.0]), lambda places: asked.extend(places) or torch.ones(len(places), 1, 1))
    assert asked == [1] and sorted(kept.keys) == [1.0, 1.5]
