import threading

import cv2
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from ms2a.engine.prefetch import AHEAD, ThreadedLoader, prefetch


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_items_come_in_order_and_not_too_far_ahead(workers):
    asked = []

    def load(item):
        asked.append(item)
        return item * item, threading.current_thread() is threading.main_thread()

    for number, (square, in_main_thread) in enumerate(prefetch(load, range(40), workers)):
        assert square == number**2 and in_main_thread == (workers == 0)
        assert max(asked) <= number + AHEAD * workers + 1
    assert sorted(asked) == list(range(40))


@pytest.fixture
def two_threads():
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(2)
    cv2.setNumThreads(2)
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def test_each_thread_keeps_to_one_core_and_leaves_the_network_all(two_threads):
    assert set(prefetch(lambda _: torch.get_num_threads(), range(8), 2)) == {1}
    assert torch.get_num_threads() == cv2.getNumThreads() == 2
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert found == [2]  # a thread that starts later is no loading thread


def test_a_failure_arrives_where_the_item_is_asked_for_and_stops_the_threads():
    def load(item):
        if item == 3:
            raise ValueError("item 3")
        return item

    got = []
    with pytest.raises(ValueError, match="item 3"):
        for item in prefetch(load, range(1000), 2):
            got.append(item)
    assert got == [0, 1, 2]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_the_same_batches(workers):
    loader = DataLoader(TensorDataset(torch.arange(10)), batch_size=4, num_workers=workers)
    threaded = ThreadedLoader(loader)
    assert len(threaded) == 3 and threaded.batch_size == 4 and threaded.dataset is loader.dataset
    for ours, theirs in zip(threaded, loader, strict=True):
        assert torch.equal(ours[0], theirs[0])
