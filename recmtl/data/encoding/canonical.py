"""Arrow columns of whatever type in, ids, lists, numbers and vectors in one type each out.

A value that does not fit raises Misfit with its row: ids are never rounded, never cut.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

TYPES = {"BIGINT": pa.int64(), "VARCHAR": pa.string()}


class Misfit(Exception):
    """What was expected and found, and in which row (None: in all of them)."""

    def __init__(self, expected: str, found: object, row: int | None = None) -> None:
        super().__init__(expected)
        self.expected, self.found, self.row = expected, found, row


def ids(column: pa.Array, kind: str) -> pa.Array:
    """int64 (kind BIGINT) or string (VARCHAR) values, nulls kept; of words a dictionary stays one."""
    if pa.types.is_dictionary(column.type):
        words = column.dictionary
        if kind == "VARCHAR" and _is_text(words.type) and not words.null_count:
            return pa.DictionaryArray.from_arrays(column.indices, words.cast(pa.string()))
        column = column.dictionary_decode()
    target = TYPES[kind]
    if column.type == target:
        return column
    if pa.types.is_floating(column.type) and kind == "BIGINT":
        return _whole(column)
    if kind == "VARCHAR" and (pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)):
        return _written(column)
    if pa.types.is_null(column.type) or _fits(column.type, kind):
        try:
            return column.cast(target)
        except pa.ArrowInvalid as error:
            raise Misfit("64-bit integers", str(error)) from error
    raise Misfit("integers" if kind == "BIGINT" else "strings", str(column.type))


def lists(
    column: pa.Array, kind: str, separator: str | None = None
) -> tuple[pa.Array, np.ndarray]:
    """Values (as `ids`) and int64 offsets (B + 1,); a null list is an empty one."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if _is_text(column.type) and separator is not None:
        return _split(column, kind, separator)
    if pa.types.is_null(column.type):
        return pa.array([], TYPES[kind]), np.zeros(len(column) + 1, dtype=np.int64)
    if not _is_list(column.type):
        raise Misfit("lists" if separator is None else "lists or strings", str(column.type))
    lengths = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    return ids(pc.list_flatten(column), kind), offsets_of(lengths)


def numbers(column: pa.Array) -> pa.Array:
    """(B,) float64, nulls kept."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if not (_is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise Misfit("numbers", str(kind))
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    return column.cast(pa.float64(), safe=False)


def vectors(column: pa.Array, size: int) -> np.ndarray:
    """(B, size) float32; a null vector is zeros."""
    out = np.zeros((len(column), size), dtype=np.float32)
    if pa.types.is_null(column.type):
        return out
    if not (_is_list(column.type) and _is_number(column.type.value_type)):
        raise Misfit(f"lists of {size} floats", str(column.type))
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    known = column.is_valid().to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(known & (lengths != size))[:1]:
        raise Misfit(f"lists of {size} floats", f"one of {int(lengths[row])}", int(row))
    values = pc.list_flatten(column).cast(pa.float32(), safe=False)
    out[known] = values.to_numpy(zero_copy_only=False).reshape(-1, size)
    for row in np.flatnonzero(~np.isfinite(out).all(axis=1))[:1]:
        raise Misfit("finite floats", out[row].tolist(), int(row))
    return out


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """(B,) lengths → (B + 1,) int64 offsets."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def _whole(column: pa.Array) -> pa.Array:
    """Floats that are integers, as integers; beyond the mantissa neighbours are lost already."""
    values = column.to_numpy(zero_copy_only=False)
    known = ~np.isnan(values)
    limit = 2.0 ** (np.finfo(values.dtype).nmant + 1)
    bad = known & ((np.abs(values) > limit) | (values != np.floor(values)))
    for row in np.flatnonzero(bad)[:1]:
        raise Misfit("ids: integers, or whole floats that hold them exactly", values[row], int(row))
    return pa.array(np.where(known, values, 0).astype(np.int64), mask=~known)


def _written(column: pa.Array) -> pa.Array:
    """Days and times without a zone as SQL writes them: no zeros at the end of a second's parts."""
    if pa.types.is_date(column.type):
        return column.cast(pa.date32()).cast(pa.string())
    if column.type.tz is not None:
        raise Misfit("strings", str(column.type))
    text = column.cast(pa.timestamp("us"), safe=False).cast(pa.string())
    return pc.replace_substring_regex(text, r"(\.\d*[1-9])?\.?0*$", r"\1")


def _split(column: pa.Array, kind: str, separator: str) -> tuple[pa.Array, np.ndarray]:
    """Strings cut at the separator, blanks trimmed, empty pieces dropped."""
    pieces = pc.split_pattern(column.cast(pa.string()), separator)
    words = pc.utf8_trim(pc.list_flatten(pieces), " ")
    keep = pc.greater(pc.binary_length(words), 0).to_numpy(zero_copy_only=False)
    ends = offsets_of(pc.list_value_length(pieces).fill_null(0).to_numpy(zero_copy_only=False))
    words, offsets = words.filter(pa.array(keep)), offsets_of(keep)[ends]
    if kind == "VARCHAR":
        return words, offsets
    try:
        return words.cast(pa.int64()), offsets
    except pa.ArrowInvalid as error:
        raise Misfit("integers between separators", str(error)) from error


def _fits(kind: pa.DataType, target: str) -> bool:
    if target == "VARCHAR":
        return _is_text(kind)
    return bool(
        pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
    )
