"""Scores as a column of a table: a float a row, or a list of as many floats as a score has numbers."""

import numpy as np
import pyarrow as pa


def column_of(scores: np.ndarray) -> pa.Array:
    """(N,) → floats; (N, C) → lists of C floats, of fixed size."""
    if scores.ndim == 1:
        return pa.array(scores)
    flat = pa.array(np.ascontiguousarray(scores).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, scores.shape[1])


def scores_of(column: pa.ChunkedArray) -> np.ndarray:
    """The same back: (N,) or (N, C)."""
    if not pa.types.is_fixed_size_list(column.type):
        found: np.ndarray = column.to_numpy()
        return found
    whole: np.ndarray = column.combine_chunks().flatten().to_numpy()
    return whole.reshape(-1, column.type.list_size)
