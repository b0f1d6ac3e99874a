"""A memory of objects and background: rings of the last vectors, and agreement with the nearer of the two."""

import pytest
import torch

from ms2a.errors import UserError
from ms2a.memory.objects import ObjectMemory


def around(centre, count, seed=0):
    return torch.tensor(centre) + 0.05 * torch.randn(count, len(centre), generator=torch.Generator().manual_seed(seed))


def filled(**options):
    memory = ObjectMemory(channels=3, levels=1, size=8, **options)
    memory.store(around([1.0, 0.0, 5.0], 20), around([0.0, 1.0, 5.0], 20))
    return memory


def test_what_looks_like_objects_agrees_and_what_looks_like_background_does_not():
    agreement = filled().agreement(torch.cat([around([1.0, 0.0, 5.0], 5, 1), around([0.0, 1.0, 5.0], 5, 2)]))
    assert (agreement[:5] > 1).all() and (agreement[5:] < -1).all()


def test_agreement_against_hand_computed_cosines():
    memory = ObjectMemory(channels=2, levels=1, size=2, nearest=1)
    memory.store(torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 4.0]]))
    # The mean is (2, 2): objects lie at (1, -1) / sqrt 2 from it, background at (-1, 1) / sqrt 2.
    found = memory.agreement(torch.tensor([[5.0, 2.0], [3.0, 3.0], [0.0, 4.0]]))
    torch.testing.assert_close(found, torch.tensor([2 * 0.5**0.5, 0.0, -2.0]))


def test_the_oldest_give_way_in_order():
    memory = ObjectMemory(channels=1, levels=1, size=3)
    for value in range(5):
        memory.store(torch.tensor([[float(value)]]), torch.zeros(0, 1))
    assert sorted(memory.prototypes[0, :, 0].tolist()) == [2.0, 3.0, 4.0]
    memory.store(torch.arange(10.0)[:, None], torch.zeros(0, 1))  # more than there is room for
    assert sorted(memory.prototypes[0, :, 0].tolist()) == [7.0, 8.0, 9.0]
    assert memory.filled == [3, 0]


def test_an_empty_ring_agrees_with_nothing():
    memory = ObjectMemory(channels=2, levels=1)
    memory.store(torch.ones(3, 2), torch.zeros(0, 2))
    assert memory.agreement(torch.ones(2, 2)).tolist() == [-2.0, -2.0]
    assert memory.agreement(torch.zeros(0, 2)).shape == (0,)


def test_random_content_agrees_by_chance():
    torch.manual_seed(0)
    memory = filled(prototypes="random")
    objects = around([1.0, 0.0, 5.0], 1, 1)
    agreement = torch.cat([memory.agreement(objects) for _ in range(200)])
    assert 0.35 < (agreement > 0).float().mean() < 0.65
    with pytest.raises(UserError, match="object_memory.prototypes is 'none', expected 'stored' or 'random'"):
        ObjectMemory(channels=2, prototypes="none")


def test_the_memory_travels_with_the_weights_and_needs_no_gradient():
    memory, other = filled(), ObjectMemory(channels=3, levels=1, size=8)
    other.load_state_dict(memory.state_dict())
    vectors = torch.randn(4, 3, requires_grad=True)
    torch.testing.assert_close(other.agreement(vectors), memory.agreement(vectors))
    assert not other.agreement(vectors).requires_grad and not list(memory.parameters())
