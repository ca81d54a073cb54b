"""The loops in C++ that count values and add up numbers of Arrow columns, where C++ is compiled."""

from ctypes import Structure, byref, c_int32, c_int64, c_void_p

import numpy as np
import pyarrow as pa

from recmtl.data.native import ArrayStruct, IndexStruct, address_of, call, entries_of, struct_of

# Of numbers: their sum, the squares about their mean, their ends, how many.
SUMS = np.dtype([
    ("sum", np.longdouble), ("squares", "f8"), ("least", "f8"), ("most", "f8"), ("known", "i8"),
], align=True)
SEEN = np.dtype([("count", "i8"), ("first", "i4"), ("last", "i4")])  # days since 1970


class _Counter(Structure):
    _fields_ = (
        ("index", IndexStruct), ("seen", c_void_p), ("size", c_int64), ("most", c_int64),
        ("bytes", c_int64), ("most_bytes", c_int64),
    )


class _Counted(Structure):
    _fields_ = (("array", ArrayStruct), ("wanted", c_void_p), ("times", c_void_p), ("day", c_int32))


class Full(Exception):
    """A counter may not take the memory that it needs."""


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
        column = _Counted(struct_of(values), address_of(wanted), address_of(times), day)
        begin = 0
        while True:
            begin = call("count_values", byref(self._state), byref(column), begin, len(values))
            if begin == len(values):
                return
            self._grow(room)

    def _grow(self, room: int) -> None:
        """Twice the room for what there is no more room for."""
        if 2 * self.nbytes > room or len(self._values) >= 2**30:  # ends of strings have 32 bits
            raise Full
        if self._state.size == self._state.most:
            self._seen, self._ends = _doubled(self._seen), _doubled(self._ends)
        if not self._text or self._state.size < self._state.most:
            self._values = _doubled(self._values)
        self._lay_out()

    def _lay_out(self) -> None:
        state = self._state
        self._entries = entries_of(len(self._seen))
        ends = self._ends.ctypes.data if self._text else None
        known = ArrayStruct(self._values.ctypes.data, ends, None, 0)
        state.index = IndexStruct(self._entries.ctypes.data, len(self._entries), known)
        state.seen, state.most = self._seen.ctypes.data, len(self._seen)
        state.most_bytes = len(self._values)
        self.nbytes = sum(a.nbytes for a in (self._values, self._ends, self._seen, self._entries))
        call("build_index", byref(state.index), state.size)


def count_codes(words: pa.DictionaryArray, wanted: np.ndarray) -> np.ndarray:
    """How often each word of the dictionary comes in the rows that are `wanted`, (B,) bool."""
    times = np.zeros(len(words.dictionary), np.int64)
    codes = words.indices.cast(pa.int32())
    call("count_codes", byref(struct_of(codes)), wanted, len(words), times)
    return times


def add_up(numbers: pa.Array, wanted: np.ndarray) -> np.ndarray:
    """SUMS, (), of the finite numbers of a float64 column in the rows that are `wanted`, (B,) bool."""
    sums = np.zeros((), SUMS)
    call("add_up", byref(struct_of(numbers)), wanted, len(numbers), sums)
    return sums


def _doubled(array: np.ndarray) -> np.ndarray:
    """The same with as many zeros behind."""
    longer = np.zeros(2 * len(array), array.dtype)
    longer[: len(array)] = array
    return longer
