"""Rows to score that need no SQL: nothing is joined to them, and the encoder reads them as they are."""

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from recmtl.data.logs.values import Value

_KEYS = {"BIGINT": pa.int64(), "VARCHAR": pa.string()}


def as_they_are(
    piece: pa.Table, values: Iterable[Value], keys: Iterable[str], sizes: Mapping[str, int]
) -> pa.Table | None:
    """The columns of `values`, keys in their canonical type; None where SQL has to read or to name one.

    `sizes` are those of vectors. What is given scores as what SQL would make of it: the encoder takes any
    width of integers and floats, and NaN for null.
    """
    found = {}
    for value in values:
        column = piece[value.column]
        if not _plain(column, value.kind, sizes.get(value.column)):
            return None
        found[value.column] = column.cast(_KEYS[value.kind]) if value.column in keys else column
    return pa.table(found)


def _plain(column: pa.ChunkedArray, kind: str, size: int | None) -> bool:
    """Whether the encoder reads the column as values of this DuckDB type, none of them bad."""
    of = column.type
    if kind == "FLOAT[]":
        is_vector = pa.types.is_list(of) and pa.types.is_floating(of.value_type)
        return is_vector and not _any(pc.not_equal(pc.list_value_length(column), size))
    if kind == "DOUBLE":
        return pa.types.is_integer(of) or (pa.types.is_floating(of) and not _any(pc.is_inf(column)))
    if kind.endswith("[]"):
        return _is_text(of) or (pa.types.is_list(of) and _is_id(of.value_type, kind.removesuffix("[]")))
    return _is_id(of, kind)


def _is_id(of: pa.DataType, kind: str) -> bool:
    return _is_text(of) if kind == "VARCHAR" else _is_whole(of)


def _is_text(of: pa.DataType) -> bool:
    return bool(pa.types.is_string(of) or pa.types.is_large_string(of))


def _is_whole(of: pa.DataType) -> bool:
    """Of those that 64 bits with a sign hold, whatever their value."""
    return bool(pa.types.is_integer(of) and of != pa.uint64())


def _any(found: pa.ChunkedArray) -> bool:
    return bool(pc.any(found).as_py())
