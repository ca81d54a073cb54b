"""One day of the examples: written from the log, or linked from an older folder that has it as it is."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sqlglot import exp

from recmtl.data.allocator import use_jemalloc
from recmtl.data.database import Database
from recmtl.data.day_files import UNDATED, day_folder
from recmtl.data.logs.checks import Held
from recmtl.data.logs.plan import Plan
from recmtl.data.logs.table import narrow
from recmtl.data.query import text, tree

SIZE = 8 * 61_440  # rows of a part: a sort of more would spill


@dataclass(frozen=True)
class Piece:
    """Rows of a day from `first_row` to `last_row` of some files, and the part that they go to."""

    day: str
    files: tuple[str, ...]
    first_row: int
    last_row: int
    target: Path


def of_day(plan: Plan, day: str) -> exp.Expr:
    """The condition for rows of the log that belong to a day and are kept."""
    if plan.day is None or day == UNDATED:
        return plan.kept
    this = exp.cast(plan.day, "DATE").eq(exp.convert(date.fromisoformat(day)))
    return exp.and_(plan.kept, this)


def pieces(day: str, held: Mapping[str, Held], folder: Path, size: int) -> list[Piece]:
    """Files that have up to `size` rows of a day together, or of a longer one so many rows at a time.

    `held` are the day's files, in the order in which rows are kept, and what they have of it.
    """
    return [
        Piece(day, files, first, last, folder / f"part-{number:05d}.parquet")
        for number, (files, first, last) in enumerate(_ranges(held, size))
    ]


def _ranges(held: Mapping[str, Held], size: int) -> Iterator[tuple[tuple[str, ...], int, int]]:
    group: dict[str, Held] = {}
    for file, part in held.items():
        if group and sum(other.rows for other in group.values()) + part.rows > size:
            yield _whole(group)
            group = {}
        if part.rows <= size:
            group[file] = part
            continue
        step = size * (part.last_row - part.first_row + 1) // part.rows
        for first in range(part.first_row, part.last_row + 1, step):
            yield (file,), first, min(first + step - 1, part.last_row)
    if group:
        yield _whole(group)


def _whole(group: Mapping[str, Held]) -> tuple[tuple[str, ...], int, int]:
    first, last = (part.first_row for part in group.values()), (part.last_row for part in group.values())
    return tuple(group), min(first), max(last)


def write_piece(db: Database, piece: Piece, sort: bool) -> None:
    """Write a part from the view `examples`, in the order of the log where that is asked for."""
    narrow(db, "log", piece.files)
    copy = tree(
        "write_day", first_row=exp.convert(piece.first_row), last_row=exp.convert(piece.last_row),
        this_day=exp.null() if piece.day == UNDATED else exp.convert(date.fromisoformat(piece.day)),
    )
    order = copy.find(exp.Order)
    if order is not None and not sort:
        order.pop()
    copy.set("files", [exp.Literal.string(str(piece.target))])
    db.execute(text(copy))


def in_order(file: Path) -> bool:
    """Whether a part's rows come by file, then row; two narrow columns are read, a few rows at a time.

    All threads do it, beside the engine: what Arrow would read ahead here adds up to tens of megabytes.
    """
    use_jemalloc()
    last = np.full((1, 2), -1, dtype=np.int64)
    with pq.ParquetFile(file, memory_map=True, pre_buffer=False) as parquet:
        for batch in parquet.iter_batches(1 << 16, columns=["_file", "_row"], use_threads=False):
            rows = np.column_stack([batch["_file"], batch["_row"]])
            steps = np.diff(rows, axis=0, prepend=last)
            if ((steps[:, 0] < 0) | ((steps[:, 0] == 0) & (steps[:, 1] <= 0))).any():
                return False
            last = rows[-1:]
    return True


def link_day(day: str, old: Path, new: Path) -> None:
    """Give a day's files to another folder too; where that cannot be, copy them."""
    source, target = day_folder(old, day), day_folder(new, day)
    target.mkdir()
    for file in sorted(source.iterdir()):
        try:
            os.link(file, target / file.name)
        except OSError:  # a file system without links, or too many to one file
            shutil.copy2(file, target / file.name)
