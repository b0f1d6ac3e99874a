"""What is read in a memory's place."""

import pytest
import torch

from ms2a.errors import UserError
from ms2a.memory.controls import NONE, RANDOM, STORED, check_control, in_place_of


def test_stored_noise_or_zeros():
    stored = torch.arange(2000.0).view(2, 10, 100)
    assert in_place_of(stored, STORED) is stored
    assert in_place_of(stored, NONE).eq(0).all()
    torch.manual_seed(0)
    noise = in_place_of(stored, RANDOM)
    torch.testing.assert_close(noise.mean(), stored.mean(), rtol=0.1, atol=0)
    torch.testing.assert_close(noise.std(), stored.std(), rtol=0.1, atol=0)
    by_group = in_place_of(stored, RANDOM, dim=(1, 2))
    torch.testing.assert_close(by_group.mean((1, 2)), stored.mean((1, 2)), rtol=0, atol=50)
    torch.testing.assert_close(by_group.std((1, 2)), stored.std((1, 2)), rtol=0.1, atol=0)


def test_another_control_is_told_with_the_known_ones():
    assert check_control(NONE, "x") == NONE
    with pytest.raises(UserError, match="adapter.prototypes is 'noise', expected 'stored', 'random' or 'none'"):
        check_control("noise", "adapter.prototypes")
    with pytest.raises(UserError, match="x is 'none', expected 'stored' or 'random'"):
        check_control(NONE, "x", (STORED, RANDOM))
