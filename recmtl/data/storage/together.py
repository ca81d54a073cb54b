"""Rows that a batch holds together, as those of one user or request: a column in, a number a row out.

Rows of one number lie beside each other in the shards of train: a run, which a loader moves as one.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from recmtl.data.encoding.hashing import hashes, mix
from recmtl.seed import stream

TOGETHER = "together"  # the matrix of these numbers


def numbers(values: pa.ChunkedArray, origin: np.ndarray, seed: int) -> np.ndarray:
    """(B, 1) int64: equal where BIGINT or VARCHAR values are, whichever block they come in.

    A null belongs to no other row. The numbers of two values are equal with a chance of 2^-64, and drawn
    anew with each seed: to sort by them is to shuffle. `origin` is (B, 2), source file and row.
    """
    column = values.combine_chunks()
    found = mix(hashes(column) ^ np.uint64(stream(seed, "together")))
    alone = column.is_null().to_numpy(zero_copy_only=False)
    if alone.any():
        files, lines = origin[alone].T.astype(np.uint64)
        found[alone] = mix(mix((files << np.uint64(32)) | lines) ^ np.uint64(stream(seed, "alone")))
    return found.view(np.int64)[:, None]


def runs_of(together: np.ndarray) -> np.ndarray:
    """Where each run of equal numbers (N,) begins, and N: (R + 1,) int64."""
    begins = np.flatnonzero(together[1:] != together[:-1]) + 1
    return np.concatenate([[0] if len(together) else [], begins, [len(together)]]).astype(np.int64)


def mixed_runs(
    stretches: Sequence[np.ndarray], runs: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """The places of all runs that begin in stretches of places: run after run, in a random order."""
    inside = [np.arange(*np.searchsorted(runs, (rows[0], rows[-1] + 1))) for rows in stretches]
    chosen = generator.permutation(np.concatenate(inside))
    begins = runs[chosen]
    lengths = runs[chosen + 1] - begins
    ends = lengths.cumsum()
    return np.repeat(begins - (ends - lengths), lengths) + np.arange(lengths.sum())
