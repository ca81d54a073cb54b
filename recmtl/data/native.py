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
    c_int32,
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


class _Array(Structure):
    _fields_ = (("values", c_void_p), ("ends", c_void_p), ("valid", c_void_p), ("offset", c_int64))


class _Index(Structure):
    _fields_ = (("entries", c_void_p), ("room", c_int64), ("known", _Array))


class _Read(Structure):
    _fields_ = (
        ("index", POINTER(_Index)), ("array", _Array), ("first", c_int64), ("missing", c_int64),
        ("into", c_int64),
    )


class _Number(Structure):
    _fields_ = (
        ("array", _Array), ("mean", c_double), ("deviation", c_double), ("into", c_int64),
        ("flag", c_int64),
    )


class _Counter(Structure):
    _fields_ = (
        ("index", _Index), ("seen", c_void_p), ("size", c_int64), ("most", c_int64),
        ("bytes", c_int64), ("most_bytes", c_int64),
    )


class _Counted(Structure):
    _fields_ = (("array", _Array), ("wanted", c_void_p), ("times", c_void_p), ("day", c_int32))


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
        self._entries = _entries(len(known))
        self.pointer = pointer(_Index(self._entries.ctypes.data, len(self._entries), _array(known)))
        _call("build_index", self.pointer, len(known))


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
    given = [_Read(r.known.pointer, _array(r.values), r.first, r.missing, r.into) for r in reads]
    _call(f"look_up_{_bits(out)}", (_Read * len(given))(*given), len(given), len(out), out, out.shape[1])


def scale(numbers: Sequence[Number], out: np.ndarray) -> None:
    """Fill columns of `out`, (B, D) float32 in C order."""
    given = [_Number(_array(n.values), *n[1:]) for n in numbers]
    _call("scale_numbers", (_Number * len(given))(*given), len(given), len(out), out, out.shape[1])


class Full(Exception):
    """A counter may not take the memory that it needs."""


SEEN = np.dtype([("count", "i8"), ("first", "i4"), ("last", "i4")])  # days since 1970


class Counter:
    """The distinct values of int64 or string columns, in the order in which they come.

    `seen` says how often, and on which day first and last, each of `values` was met; all of it takes
    `nbytes`.
    """

    nbytes: int

    def __init__(self, kind: pa.DataType) -> None:
        self._kind, self._text = kind, pa.types.is_string(kind)
        self._values = np.empty(1 << 14 if self._text else 1 << 10, np.uint8 if self._text else np.int64)
        self._ends = np.zeros((1 << 10) + 1 if self._text else 0, np.int32)
        self._seen = np.zeros(1 << 10, SEEN)
        self._state = _Counter()
        self._lay_out()

    @property
    def values(self) -> pa.Array:
        """Distinct values so far."""
        content = (self._ends, self._values) if self._text else (self._values,)
        buffers = [None, *(pa.py_buffer(array) for array in content)]
        return pa.Array.from_buffers(self._kind, self._state.size, buffers)

    @property
    def seen(self) -> np.ndarray:
        """What was seen of each, SEEN."""
        return self._seen[: self._state.size]

    def count(
        self, values: pa.Array, day: int, room: int,
        wanted: np.ndarray | None = None, times: np.ndarray | None = None,
    ) -> None:
        """Count the rows that are `wanted`, (B,) bool, each `times`, (B,) int64, or once; no nulls.

        `day` is that of all rows, never before one that was given earlier. Raises Full where more than
        `room` bytes would be taken: what was counted then is of no use.
        """
        column = _Counted(_array(values), _address(wanted), _address(times), day)
        begin = 0
        while True:
            begin = _call("count_values", byref(self._state), byref(column), begin, len(values))
            if begin == len(values):
                return
            self._grow(room)

    def _grow(self, room: int) -> None:
        """Twice the room for what there is no more room for."""
        if 2 * self.nbytes > room or len(self._values) > 2**30:  # ends of strings have 32 bits
            raise Full
        if self._state.size == self._state.most:
            self._seen, self._ends = _doubled(self._seen), _doubled(self._ends)
        if not self._text or self._state.size < self._state.most:
            self._values = _doubled(self._values)
        self._lay_out()

    def _lay_out(self) -> None:
        state = self._state
        self._entries = _entries(len(self._seen))
        ends = self._ends.ctypes.data if self._text else None
        known = _Array(self._values.ctypes.data, ends, None, 0)
        state.index = _Index(self._entries.ctypes.data, len(self._entries), known)
        state.seen, state.most = self._seen.ctypes.data, len(self._seen)
        state.most_bytes = len(self._values)
        self.nbytes = sum(a.nbytes for a in (self._values, self._ends, self._seen, self._entries))
        _call("build_index", byref(state.index), state.size)


class Rare(NamedTuple):
    """Which rows from `first` on are rare, (size,) bool; `share` of them will read the row `unknown`."""

    flags: np.ndarray
    first: int
    unknown: int
    stream: int
    share: float


def hide(rare: Rare, rows: np.ndarray, places: np.ndarray, offsets: np.ndarray | None = None) -> None:
    """Hide rare rows where they stand, told by their place in the log, (B,) uint64.

    `rows` is (B,), a column of a matrix in C order perhaps, or the values of lists with these offsets.
    """
    told = _Rare(rare.flags.ctypes.data, *rare[1:])
    lists = c_void_p() if offsets is None else offsets
    step = rows.strides[0] // rows.itemsize
    _call(f"hide_{_bits(rows)}", byref(told), rows, step, lists, places, len(places))


def take_lists(values: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The lists that begin at `begins` of `values`, one after another, so that their offsets are `ends`.

    Raises IndexError beyond the values.
    """
    out = np.empty(ends[-1], dtype=values.dtype)
    if not _call("take_lists", values, len(values), values.itemsize, begins, len(begins), ends, out):
        raise IndexError("a list ends beyond the values")
    return out


def md5(columns: Sequence[pa.Array]) -> np.ndarray:
    """The first 48 bits, (B,) uint64, of the MD5 that `hash` of split.sql is; int64 or string columns."""
    out = np.empty(len(columns[0]), dtype=np.uint64)
    given = [_array(column) for column in columns]
    _call("md5_48", (_Array * len(given))(*given), len(given), len(out), out)
    return out


def _array(array: pa.Array) -> _Array:
    """An int64, float64 or string column as Arrow lays it out."""
    valid, *others = (buffer.address if buffer is not None else None for buffer in array.buffers())
    ends, values = others if len(others) == 2 else (None, *others)
    return _Array(values, ends, valid if array.null_count else None, array.offset)


def _address(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


def _entries(size: int) -> np.ndarray:
    """Room for the entries of an index of so many values.

    In the cache room is cheap, and to find a value at once is not to guess wrongly where it is.
    """
    room = 4 * size + 1 if size < SMALL else size + size // 2 + 1
    return np.empty((room, 3), dtype=np.int32)


def _doubled(array: np.ndarray) -> np.ndarray:
    """The same with as many zeros behind."""
    longer = np.zeros(2 * len(array), array.dtype)
    longer[: len(array)] = array
    return longer


def _bits(rows: np.ndarray) -> str:
    return f"i{8 * rows.itemsize}"


def _call(name: str, *arguments: Any) -> int:
    function = getattr(_library(), name)
    function.restype = c_int64
    return int(function(*(_given(argument) for argument in arguments)))


def _given(argument: Any) -> object:
    if isinstance(argument, np.ndarray):
        return c_void_p(argument.ctypes.data)
    return c_int64(argument) if isinstance(argument, int) else argument


def _library() -> ctypes.CDLL | None:
    return load("recmtl.data", "columns", "md5", "native", "counting")
