"""Blocks of rows in, the same rows in a random order out: a uniformly random permutation, in two passes.

Each row is given a bucket by chance, and each bucket is permuted and appended. Buckets lie on disk where
the rows would take more memory than they may, and come out the same.
"""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from typing import Any

import numpy as np

from recmtl.data.storage.prefetch import prefetched
from recmtl.data.storage.rowfiles import Appender, Rows, describe, joined, open_rows, size_of

BUCKET_BYTES, PIECE_ROWS = 1 << 26, 1 << 14


def shuffle(
    blocks: Iterator[Rows], out: Appender, generator: np.random.Generator, total: int, held: int
) -> dict[str, Any]:
    """Append the rows of `blocks`, `total` at most, to `out`; return their types.

    Rows that take more than `held` bytes go through a folder beside `out`, which is made and removed.
    """
    first = next(blocks, None)
    if first is None:
        return {}
    expected, blocks = int(total * size_of(first) / len(first)), chain([first], blocks)
    targets = _Targets(1 + expected // BUCKET_BYTES, generator)
    if expected <= held:
        rows, chosen = _held(blocks, first, total, targets)
        for places in filter(len, targets.apart(chosen)):
            _write(rows, generator.permutation(places), out)
    else:
        _by_disk(blocks, targets, out, generator)
    return describe(first)


class _Targets:
    """The bucket of each row, drawn by chance."""

    def __init__(self, count: int, generator: np.random.Generator) -> None:
        self.count, self._generator = count, generator

    def draw(self, rows: Rows) -> np.ndarray:
        """(B,) int64."""
        return self._generator.integers(0, self.count, size=len(rows))

    def apart(self, chosen: np.ndarray) -> list[np.ndarray]:
        """The places of each bucket's rows, in their order."""
        order = np.argsort(chosen, kind="stable")
        return np.split(order, np.cumsum(np.bincount(chosen, minlength=self.count))[:-1])


def _held(
    blocks: Iterable[Rows], first: Rows, total: int, targets: _Targets
) -> tuple[Rows, np.ndarray]:
    """All rows and the bucket of each.

    Of the memory that is set aside for `total` rows only what is filled is ever taken.
    """
    chosen: list[np.ndarray] = []
    matrices = {n: np.empty((total, m.shape[1]), m.dtype) for n, m in first.matrices.items()}
    lists: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in first.lists}
    count = 0
    for rows in blocks:
        for name, matrix in rows.matrices.items():
            matrices[name][count : count + len(rows)] = matrix
        for name, pair in rows.lists.items():
            lists[name].append(pair)
        chosen.append(targets.draw(rows))
        count += len(rows)
    found = Rows(
        {name: matrix[:count] for name, matrix in matrices.items()},
        {name: joined(pieces) for name, pieces in lists.items()},
    )
    return found, np.concatenate(chosen)


def _by_disk(
    blocks: Iterable[Rows], targets: _Targets, out: Appender, generator: np.random.Generator
) -> None:
    scratch = out.folder.with_name(f"{out.folder.name}.scratch")
    scratch.mkdir()
    buckets = [Appender(scratch / str(number)) for number in range(targets.count)]
    types: dict[str, Any] = {}
    for rows in blocks:
        types = types or describe(rows)
        for bucket, places in zip(buckets, targets.apart(targets.draw(rows)), strict=True):
            if len(places):
                bucket.append(rows.take(places))
    for bucket in buckets:
        if bucket.rows:
            rows = open_rows(bucket.folder, bucket.rows, types)
            _write(rows, generator.permutation(bucket.rows), out)
        shutil.rmtree(bucket.folder)
    scratch.rmdir()


def _write(rows: Rows, order: np.ndarray, out: Appender) -> None:
    """Append the rows in this order, a piece while the next one is gathered."""
    pieces = np.split(order, range(PIECE_ROWS, len(order), PIECE_ROWS))
    with closing(prefetched((rows.take(places) for places in pieces), 1)) as taken:
        for piece in taken:
            out.append(piece)
