"""Blocks of rows in, chosen rows in a random order out: a uniformly random permutation, in two passes.

Each row is given a bucket by chance, and each bucket is permuted and appended. Buckets lie on disk where
the rows would take more memory than they may, and come out the same. Rows that belong together are given
one bucket, and lie beside each other in it: they are permuted as one, and among themselves.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from recmtl.data.storage.prefetch import prefetched
from recmtl.data.storage.rowfiles import Appender, Rows, describe, joined, open_rows, size_of
from recmtl.data.storage.together import TOGETHER

BUCKET_BYTES = 1 << 26
Chosen = tuple[Rows, np.ndarray]  # rows, and the places (n,) of those that are shuffled
Drawn = tuple[Rows, np.ndarray, np.ndarray]  # and the bucket of each of those (n,)


def shuffle(
    blocks: Iterator[Chosen], out: Appender, generator: np.random.Generator, total: int, held: int
) -> dict[str, Any]:
    """Append the chosen rows of `blocks`, which have `total` rows at most, to `out`; return their types.

    How many buckets there are follows from `total` and the size of the first block's rows.

    Rows that take more than `held` bytes go through a folder beside `out`, which is made and removed.
    """
    start = next(blocks, None)
    if start is None:
        return {}
    first, _ = start
    expected = int(total * size_of(first) / len(first))
    count = 1 + expected // BUCKET_BYTES
    drawn = ((*pair, _buckets(*pair, count, generator)) for pair in chain([start], blocks))
    if expected <= held:
        rows, places, targets = _held(drawn, first, total)
        buckets = filter(len, _apart(targets, count))
        orders = (_permuted(rows, places[bucket], generator) for bucket in buckets)
        with closing(prefetched(orders, 1)) as ready:
            for order in ready:
                out.append_at(rows, order)
    else:
        for rows in _on_disk(drawn, count, out.folder.with_name(f"{out.folder.name}.scratch")):
            out.append_at(rows, _permuted(rows, np.arange(len(rows)), generator))
    return describe(first)


def _buckets(
    rows: Rows, places: np.ndarray, count: int, generator: np.random.Generator
) -> np.ndarray:
    """The bucket of each chosen row (n,), in as few bytes as hold it."""
    if TOGETHER not in rows.matrices:
        drawn = generator.integers(0, count, size=len(places))
    else:
        drawn = rows.matrices[TOGETHER][places, 0].view(np.uint64) % np.uint64(count)
    buckets: np.ndarray = drawn.astype(np.min_scalar_type(count))
    return buckets


def _permuted(rows: Rows, places: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The places of a bucket's rows in a random order."""
    order = generator.permutation(places)
    if TOGETHER not in rows.matrices:
        return order
    return order[np.argsort(rows.matrices[TOGETHER][order, 0], kind="stable")]


def _apart(targets: np.ndarray, count: int) -> list[np.ndarray]:
    """The places of each bucket's rows, in their order, from the bucket of each row."""
    order = np.argsort(targets, kind="stable")  # numpy counts narrow integers, it would compare wide ones
    return np.split(order, np.cumsum(np.bincount(targets, minlength=count))[:-1])


def _held(drawn: Iterable[Drawn], first: Rows, total: int) -> Drawn:
    """Rows of all blocks, the places of the chosen ones among them, and the bucket of each.

    Of the memory that is set aside for `total` rows only what is filled is ever taken. To leave out few
    rows of a block would take longer than to copy them along; where most would be, they are left out.
    """
    matrices = {n: np.empty((total, m.shape[1]), m.dtype) for n, m in first.matrices.items()}
    lists: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in first.lists}
    chosen: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    count = 0
    for rows, places, buckets in drawn:
        if 2 * len(places) < len(rows):
            rows, places = rows.take(places), np.arange(len(places))
        for name, matrix in rows.matrices.items():
            matrices[name][count : count + len(rows)] = matrix
        for name, pair in rows.lists.items():
            lists[name].append(pair)
        chosen.append(places + count)
        targets.append(buckets)
        count += len(rows)
    found = Rows(
        {name: matrix[:count] for name, matrix in matrices.items()},
        {name: joined(lists.pop(name)) for name in first.lists},  # one of them twice at a time, no more
    )
    return found, np.concatenate(chosen), np.concatenate(targets)


def _on_disk(drawn: Iterable[Drawn], count: int, scratch: Path) -> Iterator[Rows]:
    """Bucket after bucket of those that have rows; each lies in `scratch` until the next one."""
    scratch.mkdir()
    buckets = [Appender(scratch / str(number)) for number in range(count)]
    types: dict[str, Any] = {}
    for rows, places, targets in drawn:
        types = types or describe(rows)
        for bucket, own in zip(buckets, _apart(targets, count), strict=True):
            if len(own):
                bucket.append(rows.take(places[own]))
    for bucket in buckets:
        if bucket.rows:
            yield open_rows(bucket.folder, bucket.rows, types)
        shutil.rmtree(bucket.folder)
    scratch.rmdir()
