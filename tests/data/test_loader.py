"""The loader: every row once an epoch, by seed and epoch, from a thread that ends with its reader."""

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from recmtl.data import loader as loading
from recmtl.data.encoder import Encoder
from recmtl.data.loader import Loader
from recmtl.data.sharding import write_shards
from recmtl.data.shards import Shards
from recmtl.data.storage.prefetch import prefetched

TRAIN = 1000


@pytest.fixture(scope="module")
def shards(ingested_once: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng, count = np.random.default_rng(0), TRAIN + 20
    table = pa.table({
        "day": ["2024-01-01"] * TRAIN + ["2024-01-03"] * 10 + ["2024-01-04"] * 10,
        "item": np.arange(count) % 7, "x": np.arange(count, dtype=float),
        "seen": [list(range(n)) for n in rng.integers(0, 5, count)],
        "click": pa.array(np.arange(count) % 2, mask=np.arange(count) % 5 == 0),
    })
    features = {"item": {"kind": "categorical"}, "seen": {"kind": "bag"},
                "x": {"kind": "numeric", "transform": "none"}}
    problem, examples = ingested_once(table, features)
    out = tmp_path_factory.mktemp("out") / "shards"
    write_shards(problem, examples, Encoder.fit(problem, examples, 4), out, 1)
    return out


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "BLOCK_ROWS", 64)
    monkeypatch.setattr(loading, "WINDOW_BLOCKS", 3)


def order(loader: Loader, epoch: int = 0) -> list[int]:
    return [row for batch in loader.batches(epoch) for row in batch.origin[:, 1].tolist()]


@pytest.mark.parametrize("processes", [2, 3, 64])
def test_processes_have_equally_many_batches_of_rows_in_order(shards: Path, processes: int) -> None:
    """They pass over sharded tables together. Three have 333, 333 and 334 = 3 · 111 + 1 rows."""
    train = Shards.open(shards / "train")
    loaders = [Loader(train, 111, part=(i, processes)) for i in range(processes)]
    assert len({len(list(loader.batches())) for loader in loaders}) == 1
    assert [row for loader in loaders for row in order(loader)] == order(Loader(train, 111))


def test_every_row_comes_once_an_epoch_in_an_order_of_its_own(shards: Path) -> None:
    train = Shards.open(shards / "train")
    loader = Loader(train, 96, seed=5)
    first, second = order(loader, 0), order(loader, 1)
    assert sorted(first) == sorted(second) == list(range(TRAIN))
    assert first != second
    assert order(Loader(train, 96, seed=5), 1) == second
    assert order(Loader(train, 96, seed=6), 0) != first


@pytest.mark.parametrize("processes", [1, 3])
def test_of_some_rows_alone_each_comes_once_an_epoch(shards: Path, processes: int) -> None:
    """The processes have equally many batches, the last of one row; what is skipped comes first."""
    train = Shards.open(shards / "train")
    places = np.sort(np.random.default_rng(1).choice(TRAIN, 48 * 6 + 1, replace=False)).astype(np.int16)
    loaders = [
        Loader(train, 48 // processes, seed=5, part=(i, processes)).only(places) for i in range(processes)
    ]
    sizes = [[len(batch) for batch in loader.batches(1)] for loader in loaders]
    assert np.sum(sizes, axis=0).tolist() == [48] * 6 + [1]
    assert [len(loader) for loader in loaders] == [7] * processes
    found = [row for loader in loaders for row in order(loader, 1)]
    assert sorted(found) == sorted(train.origin[places, 1].tolist())
    (first, *_), left = loaders[0].batches(1), loaders[0].batches(1, 1)
    assert order(loaders[0], 1) == first.origin[:, 1].tolist() + [
        row for batch in left for row in batch.origin[:, 1].tolist()]
    assert order(loaders[0], 2) != order(loaders[0], 1)
    assert loaders[0].rows == 289 and Loader(train, 48, seed=5).rows == TRAIN


def test_without_a_seed_rows_come_in_order_and_the_last_batch_is_kept(shards: Path) -> None:
    train = Shards.open(shards / "train")
    loader = Loader(train, 96)
    sizes = [len(batch) for batch in loader.batches()]
    assert sizes == [96] * 10 + [40]
    assert len(loader) == 11
    assert order(loader) == train.origin[:, 1].tolist()


@pytest.mark.parametrize("seed", [None, 3])
def test_skipped_batches_are_those_that_come_first(shards: Path, seed: int | None) -> None:
    loader = Loader(Shards.open(shards / "train"), 96, seed=seed)
    whole = order(loader, 2)
    for skip in (1, 4, 10, 11):
        left = [row for b in loader.batches(2, skip) for row in b.origin[:, 1].tolist()]
        assert left == whole[skip * 96 :]


@pytest.mark.parametrize("seed", [None, 3])
def test_a_batch_holds_what_the_shards_hold(shards: Path, seed: int | None) -> None:
    train = Shards.open(shards / "train")
    place = {row: i for i, row in enumerate(train.origin[:, 1].tolist())}
    values, offsets = train.content.lists["seen"]
    for batch in Loader(train, 130, seed=seed).batches():
        places = [place[row] for row in batch.origin[:, 1].tolist()]
        assert batch.rows.dtype == torch.int32
        np.testing.assert_array_equal(batch.rows.numpy(), train.rows[places])
        np.testing.assert_array_equal(batch.dense.numpy(), train.dense[places])
        np.testing.assert_array_equal(batch.labels["click"].numpy(), train.labels("click")[places])
        np.testing.assert_array_equal(batch.weight.numpy(), np.ones(len(batch), np.float32))
        ragged = batch.lists["seen"]
        expected = [values[offsets[i] : offsets[i + 1]].tolist() for i in places]
        ends = ragged.offsets.tolist()
        found = [ragged.values[a:b].tolist() for a, b in pairwise(ends)]
        assert found == expected
        assert len(ends) == len(batch) + 1


def test_rows_are_shuffled_within_windows_only(shards: Path) -> None:
    train = Shards.open(shards / "train")
    place = {row: i for i, row in enumerate(train.origin[:, 1].tolist())}
    window = [place[row] // 64 for row in order(Loader(train, 50, seed=2))[: 3 * 64]]
    assert len(set(window[:128])) == 3  # three blocks, mixed: a reader touches no more of the file


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "recmtl-prefetch"]


def test_an_abandoned_epoch_ends_its_thread(shards: Path) -> None:
    for _ in Loader(Shards.open(shards / "train"), 8).batches():
        assert len(threads()) == 1
        break
    deadline = time.monotonic() + 5
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not threads()


def test_an_exception_in_the_background_reaches_the_reader() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the disk is gone")

    reader = prefetched(broken(), 1)
    assert [next(reader), next(reader)] == [1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(reader)
    assert not threads()


def test_only_so_many_items_are_made_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    reader = prefetched(items(), 3)
    assert next(reader) == 0
    time.sleep(0.2)
    assert len(made) <= 5  # one read, three waiting, one in the hand of the thread
    assert list(reader) == list(range(1, 100))


def test_rows_on_a_device_give_the_same_batches(shards: Path) -> None:
    """Here the device is the CPU: the same picking of rows, lists included."""
    for part, seed in (("train", 5), ("valid", None)):
        ways = [Loader(Shards.open(shards / part), 96, seed=seed) for _ in range(2)]
        ways[0].resident = True
        ways = [loader.only(np.arange(3, loader.rows, 2)) for loader in ways] if seed else ways
        pairs = list(zip(*(loader.batches(3, skip=1 if seed else 0) for loader in ways), strict=True))
        assert pairs
        for there, here in pairs:
            assert list(there.labels) == list(here.labels) and list(there.lists) == list(here.lists)
            for one, other in zip(there.tensors(), here.tensors(), strict=True):
                torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
