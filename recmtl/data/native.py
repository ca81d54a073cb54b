"""The loops in C++ for Arrow columns and numpy arrays, where it is compiled; none needs torch.

Each caller has the plain way, in pandas, numpy or SQL, beside its call.
"""

import ctypes
from collections.abc import Sequence
from ctypes import (
    POINTER,
    Structure,
    byref,
    c_double,
    c_int64,
    c_uint64,
    c_void_p,
    pointer,
)
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recmtl.compiled import load

SMALL = 1 << 16  # values whose index stays in a processor's cache


class ArrayStruct(Structure):
    """A column as Arrow lays it out: columns.cpp has the same."""

    _fields_ = (("values", c_void_p), ("ends", c_void_p), ("valid", c_void_p), ("offset", c_int64))


class IndexStruct(Structure):
    """An open-addressing table of distinct values: native.cpp has the same."""

    _fields_ = (("entries", c_void_p), ("room", c_int64), ("known", ArrayStruct))


class _Read(Structure):
    _fields_ = (
        ("index", POINTER(IndexStruct)), ("array", ArrayStruct), ("first", c_int64), ("missing", c_int64),
        ("into", c_int64),
    )


class _Number(Structure):
    _fields_ = (
        ("array", ArrayStruct), ("mean", c_double), ("deviation", c_double), ("into", c_int64),
        ("flag", c_int64),
    )


class _Rare(Structure):
    _fields_ = (
        ("flags", c_void_p), ("first", c_int64), ("unknown", c_int64), ("stream", c_uint64),
        ("share", c_double),
    )


def compiled() -> bool:
    """Whether there are any."""
    return _library() is not None


class Index:
    """Distinct int64 ids or strings and the place of each: exact on all bits, 18 bytes a value."""

    def __init__(self, known: pa.Array) -> None:
        self._known = known if pa.types.is_string(known.type) else None  # compared at each look-up
        self._entries = entries_of(len(known))
        room = self._entries.ctypes.data, len(self._entries)
        self.pointer = pointer(IndexStruct(*room, struct_of(known)))
        call("build_index", self.pointer, len(known))


class Read(NamedTuple):
    """A column to be looked up, and the column of a matrix that it fills.

    A known value gives `first` + its place, another one `first` − 1, a null `missing`.
    """

    known: Index
    values: pa.Array
    first: int
    missing: int
    into: int


class Number(NamedTuple):
    """A float64 column, and the column of a matrix that (x − mean) / deviation fills.

    It is 0 where there is no finite number; column `flag`, unless −1, is 1 there.
    """

    values: pa.Array
    mean: float
    deviation: float
    into: int
    flag: int


def look_up(reads: Sequence[Read], out: np.ndarray) -> None:
    """Fill columns of `out`, (B, S) int32 or int64 in C order."""
    given = [_Read(r.known.pointer, struct_of(r.values), r.first, r.missing, r.into) for r in reads]
    call(f"look_up_{_bits(out)}", (_Read * len(given))(*given), len(given), len(out), out, out.shape[1])


def scale(numbers: Sequence[Number], out: np.ndarray) -> None:
    """Fill columns of `out`, (B, D) float32 in C order."""
    given = [_Number(struct_of(n.values), *n[1:]) for n in numbers]
    call("scale_numbers", (_Number * len(given))(*given), len(given), len(out), out, out.shape[1])


class Rare(NamedTuple):
    """Which rows from `first` on are rare, (size,) bool; `share` of them will read the row `unknown`."""

    flags: np.ndarray
    first: int
    unknown: int
    stream: int
    share: float


def hide(
    rare: Rare, rows: np.ndarray, chosen: np.ndarray, places: np.ndarray,
    offsets: np.ndarray | None = None,
) -> None:
    """Hide those of the rows `chosen` that are rare where they stand, told by their `places` in the log.

    `rows` is (B,), a column of a matrix in C order perhaps, or the values of lists with these offsets;
    `chosen` is (n,) int64, `places` (n,) uint64.
    """
    told = _Rare(rare.flags.ctypes.data, *rare[1:])
    lists = c_void_p() if offsets is None else offsets
    step = rows.strides[0] // rows.itemsize
    call(f"hide_{_bits(rows)}", byref(told), rows, step, lists, chosen, places, len(chosen))


def take_rows(words: pa.DictionaryArray, rows: np.ndarray, missing: int, out: np.ndarray) -> None:
    """Fill a column of a matrix, (B,) int32 or int64, with the row of each word, `missing` for a null."""
    codes, step = words.indices.cast(pa.int32()), out.strides[0] // out.itemsize
    call(f"take_rows_{_bits(out)}", byref(struct_of(codes)), rows, missing, len(words), out, step)


def take_lists(values: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The lists that begin at `begins` of `values`, one after another, so that their offsets are `ends`.

    Raises IndexError beyond the values.
    """
    out = np.empty(ends[-1], dtype=values.dtype)
    if not call("take_lists", values, len(values), values.itemsize, begins, len(begins), ends, out):
        raise IndexError("a list ends beyond the values")
    return out


def md5(columns: Sequence[pa.Array]) -> np.ndarray:
    """The first 48 bits, (B,) uint64, of the MD5 that `hash` of split.sql is; int64 or string columns."""
    out = np.empty(len(columns[0]), dtype=np.uint64)
    given = [struct_of(column) for column in columns]
    call("md5_48", (ArrayStruct * len(given))(*given), len(given), len(out), out)
    return out


def struct_of(array: pa.Array) -> ArrayStruct:
    """An int64, float64 or string column as Arrow lays it out."""
    valid, *others = (buffer.address if buffer is not None else None for buffer in array.buffers())
    ends, values = others if len(others) == 2 else (None, *others)
    return ArrayStruct(values, ends, valid if array.null_count else None, array.offset)


def address_of(array: np.ndarray | None) -> int | None:
    """None for none."""
    return None if array is None else array.ctypes.data


def entries_of(size: int) -> np.ndarray:
    """Room for the entries of an index of so many values.

    In the cache room is cheap, and to find a value at once is not to guess wrongly where it is.
    """
    room = 4 * size + 1 if size < SMALL else size + size // 2 + 1
    return np.empty((room, 3), dtype=np.int32)


def _bits(rows: np.ndarray) -> str:
    return f"i{8 * rows.itemsize}"


def call(name: str, *arguments: Any) -> int:
    """Call a loop: arrays are given as pointers, integers with 64 bits."""
    function = getattr(_library(), name)
    function.restype = c_int64
    return int(function(*(_given(argument) for argument in arguments)))


def _given(argument: Any) -> object:
    if isinstance(argument, np.ndarray):
        return c_void_p(argument.ctypes.data)
    return c_int64(argument) if isinstance(argument, int) else argument


def _library() -> ctypes.CDLL | None:
    return load("recmtl.data", "columns", "md5", "native", "counting")
