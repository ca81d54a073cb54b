"""Items in, results out in the same order: one thread reads them, each core works on one of its own."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

import torch

from recmtl.data.storage.prefetch import prefetched

T = TypeVar("T")
R = TypeVar("R")
AHEAD = 2  # items a core that are read, or done and not taken yet


def on_each_core(work: Callable[[T], R], items: Iterator[T]) -> Generator[R]:
    """work(item) for each item, as many at a time as torch has threads; each of them has one.

    Two items on two cores take less time than each on both, one after the other: no core waits for
    another at the end of every loop, also where one of them reads or writes meanwhile.

    What `items` or `work` raises is raised here, after the results of the items before.
    """
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, "recmtl-core", initializer=torch.set_num_threads, initargs=(1,))
    with pool, closing(prefetched((pool.submit(work, item) for item in items), AHEAD * threads)) as made:
        try:
            for future in made:
                yield future.result()
        finally:
            torch.set_num_threads(threads)  # for threads to come; this one's own has not changed
