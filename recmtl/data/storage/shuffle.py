"""Blocks of rows in, the same rows in a random order out: two passes, memory for one bucket.

Each row goes to a random bucket on disk; then each bucket is permuted in memory and appended. That
is a uniformly random permutation of all rows.
"""

import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from recmtl.data.storage.rowfiles import Appender, Rows, describe, open_rows, size_of

BUCKET_BYTES = 1 << 26


def shuffle(
    blocks: Iterator[Rows], out: Appender, generator: np.random.Generator, total: int, scratch: Path
) -> dict[str, Any]:
    """Append the rows of `blocks`, `total` at most, to `out`; return their types.

    `scratch` is a folder that is made, filled and removed.
    """
    first = next(blocks, None)
    if first is None:
        return {}
    types = describe(first)
    scratch.mkdir()
    count = 1 + int(total * size_of(first) / len(first)) // BUCKET_BYTES
    buckets = [Appender(scratch / str(number)) for number in range(count)]
    for rows in chain([first], blocks):
        _scatter(rows, buckets, generator)
    for number, bucket in enumerate(buckets):
        if bucket.rows:
            rows = open_rows(scratch / str(number), bucket.rows, types)
            out.append(rows.take(generator.permutation(bucket.rows)))
        shutil.rmtree(scratch / str(number))
    scratch.rmdir()
    return types


def _scatter(rows: Rows, buckets: list[Appender], generator: np.random.Generator) -> None:
    target = generator.integers(0, len(buckets), size=len(rows))
    order = np.argsort(target, kind="stable")
    ends = np.cumsum(np.bincount(target, minlength=len(buckets)))
    for bucket, places in zip(buckets, np.split(order, ends[:-1]), strict=True):
        if len(places):
            bucket.append(rows.take(places))
