"""Blocks of rows in, the same rows in a random order out: in memory where they fit, else in two passes.

Too many go to random buckets on disk, each of which is then permuted in memory and appended: that, too,
is a uniformly random permutation of all rows.
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

HELD_BYTES = 1 << 29  # of rows that are permuted in memory
BUCKET_BYTES, PIECE_ROWS = 1 << 26, 1 << 14


def shuffle(
    blocks: Iterator[Rows], out: Appender, generator: np.random.Generator, total: int, scratch: Path
) -> dict[str, Any]:
    """Append the rows of `blocks`, `total` at most, to `out`; return their types.

    `scratch` is a folder that is made, filled and removed where it is needed.
    """
    first = next(blocks, None)
    if first is None:
        return {}
    expected, blocks = int(total * size_of(first) / len(first)), chain([first], blocks)
    if expected <= HELD_BYTES:
        _write(_held(blocks, first, total), out, generator)
    else:
        _by_buckets(blocks, out, generator, 1 + expected // BUCKET_BYTES, scratch)
    return describe(first)


def _held(blocks: Iterable[Rows], first: Rows, total: int) -> Rows:
    """All rows; of the memory that is set aside for `total` of them only what is filled is ever taken."""
    matrices = {n: np.empty((total, m.shape[1]), m.dtype) for n, m in first.matrices.items()}
    lists: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in first.lists}
    count = 0
    for rows in blocks:
        for name, matrix in rows.matrices.items():
            matrices[name][count : count + len(rows)] = matrix
        for name, pair in rows.lists.items():
            lists[name].append(pair)
        count += len(rows)
    return Rows(
        {name: matrix[:count] for name, matrix in matrices.items()},
        {name: joined(pieces) for name, pieces in lists.items()},
    )


def _by_buckets(
    blocks: Iterable[Rows], out: Appender, generator: np.random.Generator, count: int, scratch: Path
) -> None:
    scratch.mkdir()
    buckets = [Appender(scratch / str(number)) for number in range(count)]
    types: dict[str, Any] = {}
    for rows in blocks:
        types = types or describe(rows)
        _scatter(rows, buckets, generator)
    for number, bucket in enumerate(buckets):
        if bucket.rows:
            _write(open_rows(scratch / str(number), bucket.rows, types), out, generator)
        shutil.rmtree(scratch / str(number))
    scratch.rmdir()


def _scatter(rows: Rows, buckets: list[Appender], generator: np.random.Generator) -> None:
    target = generator.integers(0, len(buckets), size=len(rows))
    order = np.argsort(target, kind="stable")
    ends = np.cumsum(np.bincount(target, minlength=len(buckets)))
    for bucket, places in zip(buckets, np.split(order, ends[:-1]), strict=True):
        if len(places):
            bucket.append(rows.take(places))


def _write(rows: Rows, out: Appender, generator: np.random.Generator) -> None:
    """Append the rows in a random order, a piece while the next one is gathered."""
    order = generator.permutation(len(rows))
    pieces = np.split(order, range(PIECE_ROWS, len(order), PIECE_ROWS))
    with closing(prefetched((rows.take(places) for places in pieces), 1)) as taken:
        for piece in taken:
            out.append(piece)
