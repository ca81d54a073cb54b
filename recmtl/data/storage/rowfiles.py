"""Encoded rows as raw binary files: blocks of rows in, appended; memory-mapped arrays out.

`NAME.bin` is a (N, k) matrix in C order; a list column is `NAME.values.bin` and `NAME.offsets.bin`
(int64, N + 1).
"""

import os
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from recmtl.data import native

Lists = Mapping[str, tuple[np.ndarray, np.ndarray]]
PIECE_ROWS, WRITERS = 1 << 14, 2  # gathered and written at a time, by so many threads
Files = Mapping[str, Any]  # name → {"dtype", "shape"}, as the manifest keeps it


@dataclass(frozen=True)
class Rows:
    """B rows: matrices (B, k) by name, and lists (values, offsets (B + 1,)) by name."""

    matrices: Mapping[str, np.ndarray]
    lists: Lists

    def __len__(self) -> int:
        return len(next(iter(self.matrices.values())))

    def take(self, places: np.ndarray) -> "Rows":
        """The rows at `places`, in that order."""
        return Rows(
            {name: matrix.take(places, axis=0) for name, matrix in self.matrices.items()},
            {name: take_lists(*pair, places) for name, pair in self.lists.items()},
        )


class Appender:
    """A folder's files, to which rows are written where they belong; it keeps none open: many may be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ends: dict[str, int] = {}  # of the values of lists
        self.rows = 0
        folder.mkdir()

    def append(self, rows: Rows) -> None:
        """Append all rows."""
        self._write(rows, self.rows, self._ends)
        self._grow(len(rows), {name: int(offsets[-1]) for name, (_, offsets) in rows.lists.items()})

    def append_at(self, rows: Rows, places: np.ndarray) -> None:
        """Append the rows at `places`, in that order: pieces side by side, each where it belongs."""
        ends = {name: self._ends.get(name, 0) + _ends_at(offsets, places)
                for name, (_, offsets) in rows.lists.items()}

        def piece(at: int) -> None:
            taken = rows.take(places[at : at + PIECE_ROWS])
            self._write(taken, self.rows + at, {name: int(end[at]) for name, end in ends.items()})

        with ThreadPoolExecutor(WRITERS) as pool:
            deque(pool.map(piece, range(0, len(places), PIECE_ROWS)), maxlen=0)
        self._grow(len(places), {name: int(end[-1] - end[0]) for name, end in ends.items()})

    def _write(self, rows: Rows, row: int, ends: Mapping[str, int]) -> None:
        """Write rows from `row` on, the values of their lists from `ends` on."""
        for name, matrix in rows.matrices.items():
            self._put(f"{name}.bin", matrix, row * matrix.itemsize * matrix.shape[1])
        for name, (values, offsets) in rows.lists.items():
            end, file = ends.get(name, 0), file_name(name)
            self._put(f"{file}.values.bin", values, end * values.itemsize)
            first = 1 if row else 0  # the first of all offsets is written once
            self._put(f"{file}.offsets.bin", offsets[first:] + end, (row + first) * offsets.itemsize)

    def _put(self, name: str, block: np.ndarray, at: int) -> None:
        # Unlike `open`, it cuts nothing off: pieces are written side by side into one file.
        with os.fdopen(os.open(self.folder / name, os.O_WRONLY | os.O_CREAT, 0o666), "wb") as file:
            file.seek(at)
            file.write(np.ascontiguousarray(block).data)

    def _grow(self, rows: int, values: Mapping[str, int]) -> None:
        self.rows += rows
        self._ends = {name: self._ends.get(name, 0) + count for name, count in values.items()}


def _ends_at(offsets: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(n + 1,) int64 offsets of the lists at `places`, one after another."""
    ends = np.zeros(len(places) + 1, dtype=np.int64)
    np.cumsum(offsets.take(places + 1) - offsets.take(places), out=ends[1:])
    return ends


def size_of(rows: Rows) -> int:
    """Bytes of all arrays."""
    arrays = [*rows.matrices.values(), *(array for pair in rows.lists.values() for array in pair)]
    return sum(array.nbytes for array in arrays)


def describe(rows: Rows) -> dict[str, Any]:
    """The types and columns that `open_rows` needs to read such rows back."""
    return {
        "matrices": {n: [m.dtype.str, m.shape[1]] for n, m in rows.matrices.items()},
        "lists": {n: values.dtype.str for n, (values, _) in rows.lists.items()},
    }


def open_rows(folder: Path, count: int, described: Files) -> Rows:
    """Map the files of `count` rows; nothing is read until it is used."""
    matrices = {
        name: _map(folder / f"{name}.bin", dtype).reshape(count, columns)
        for name, (dtype, columns) in described["matrices"].items()
    }
    lists = {
        name: (
            _map(folder / f"{file_name(name)}.values.bin", dtype),
            _map(folder / f"{file_name(name)}.offsets.bin", "<i8"),
        )
        for name, dtype in described["lists"].items()
    }
    return Rows(matrices, lists)


def take_lists(
    values: np.ndarray, offsets: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The lists at `places`, in that order."""
    begins, ends = offsets.take(places), _ends_at(offsets, places)
    if native.compiled():
        return native.take_lists(values, begins, ends), ends
    source = np.repeat(begins - ends[:-1], np.diff(ends)) + np.arange(ends[-1])
    return values.take(source), ends


def joined(pieces: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The lists of all pieces, one piece after another."""
    ends = np.cumsum([0, *(len(values) for values, _ in pieces)])
    offsets = [offsets[1:] + end for (_, offsets), end in zip(pieces, ends[:-1], strict=True)]
    return np.concatenate([values for values, _ in pieces]), np.concatenate([[0], *offsets])


def file_name(name: str) -> str:
    """A feature's name may hold any sign; a file's may not."""
    return quote(name, safe=" ")


def _map(file: Path, dtype: str) -> np.ndarray:
    """A read-only array over the file; an empty file cannot be mapped."""
    if not file.stat().st_size:
        return np.empty(0, dtype=dtype)
    return np.memmap(file, dtype=dtype, mode="r")
