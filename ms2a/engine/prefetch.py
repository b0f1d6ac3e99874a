"""Loading ahead, by threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import cv2
import torch
from torch.utils.data import DataLoader

Item, Loaded = TypeVar("Item"), TypeVar("Loaded")

# That each thread may load before the first of them is used.
AHEAD = 2


def prefetch(load: Callable[[Item], Loaded], items: Iterable[Item], workers: int) -> Iterator[Loaded]:
    """``map(load, items)``, some of it ahead of what is asked for.

    By threads, not by processes: OpenCV decodes and resizes without holding Python's lock, nothing has to be started or
    sent, and memory stays what it is, where processes forked from this one would each turn more and more of its pages
    into copies of their own. Each thread keeps to one core: teams that wait for work would take cores from the network.

    Args:
        load: what loads an item.
        items: what is to be loaded.
        workers: threads that load; 0 loads when asked.
    """
    if not workers:
        yield from map(load, items)
        return
    num_threads, opencv_threads = torch.get_num_threads(), cv2.getNumThreads()
    cv2.setNumThreads(0)
    pool, waiting = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)), deque()
    try:
        for item in items:
            waiting.append(pool.submit(load, item))
            if len(waiting) > AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(num_threads)  # a thread's choice is also that of all threads to come
        cv2.setNumThreads(opencv_threads)


class ThreadedLoader:
    """The batches of a data loader, loaded by threads of this process instead of its worker processes.

    Args:
        loader: a loader whose ``num_workers`` tells how many threads; other options for worker processes do nothing.
    """

    def __init__(self, loader: DataLoader):
        self.loader, self.dataset, self.batch_size = loader, loader.dataset, loader.batch_size

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        return prefetch(self._load, self.loader.batch_sampler, self.loader.num_workers)

    def _load(self, indices: list[int]) -> Any:
        return self.loader.collate_fn([self.dataset[index] for index in indices])
