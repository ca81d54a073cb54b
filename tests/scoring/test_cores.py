"""Many cores, one order: results come as their items do, and so does what goes wrong."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from recmtl.scoring.cores import AHEAD, on_each_core


@pytest.fixture
def three() -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three")
def test_results_come_in_the_order_of_their_items_though_later_ones_are_done_first() -> None:
    done: list[int] = []

    def work(item: int) -> int:
        if item == 0:
            while len(done) < 2:  # until the two after it are done
                time.sleep(0.001)
        done.append(item)
        return item * item

    assert list(on_each_core(work, iter(range(6)))) == [0, 1, 4, 9, 16, 25]
    assert done.index(0) >= 2


def test_each_item_has_one_thread_of_torch_and_the_caller_has_its_own_again(three: int) -> None:
    assert set(on_each_core(lambda _: torch.get_num_threads(), iter(range(9)))) == {1}
    assert torch.get_num_threads() == three
    found: list[int] = []
    later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert found == [three]


def test_what_work_raises_comes_after_the_results_before_it() -> None:
    found = on_each_core(lambda item: 12 // item, iter([4, 3, 0, 2]))
    assert [next(found), next(found)] == [3, 4]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_what_reading_raises_comes_after_the_results_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("damaged")

    found = on_each_core(lambda item: item + 1, items())
    assert next(found) == 2
    with pytest.raises(OSError, match="damaged"):
        next(found)


def test_no_more_is_read_than_is_soon_worked_on(three: int) -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            read.append(item)
            yield item

    found = on_each_core(lambda item: item, items())
    assert next(found) == 0
    time.sleep(0.2)  # for a reader that would not stop
    assert len(read) <= AHEAD * three + 3  # those that wait, one to be put there, one taken, one read
    found.close()
    at_the_end = len(read)
    time.sleep(0.2)
    assert len(read) == at_the_end
