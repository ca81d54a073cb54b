"""One day of the examples: written from the log, or linked from an older folder that has it as it is."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.logs.checks import UNDATED, Held
from recmtl.data.logs.plan import Plan
from recmtl.data.logs.table import narrow
from recmtl.data.query import text, tree

SORTED_AT_ONCE = 4 * 122_880  # rows: a larger sort of wide rows would spill, and cost as much as all else


@dataclass(frozen=True)
class Piece:
    """Rows from `first_row` to `last_row` of some files."""

    files: tuple[str, ...]
    first_row: int
    last_row: int


def pieces(held: Mapping[str, Held], size: int) -> Iterator[Piece]:
    """Files that have about `size` rows of a day together, or of a longer one so many rows at a time.

    `held` are the day's files, in order, and what they have of it.
    """
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
            yield Piece((file,), first, min(first + step - 1, part.last_row))
    if group:
        yield _whole(group)


def _whole(group: Mapping[str, Held]) -> Piece:
    return Piece(
        tuple(group), min(part.first_row for part in group.values()),
        max(part.last_row for part in group.values()),
    )


def day_folder(examples: Path, day: str) -> Path:
    """Where a day's files lie."""
    return examples / (day if day == UNDATED else f"dt={day}")


def of_day(plan: Plan, day: str) -> exp.Expr:
    """The condition for rows of the log that belong to a day and are kept."""
    if plan.day is None or day == UNDATED:
        return plan.kept
    this = exp.cast(plan.day, "DATE").eq(exp.convert(date.fromisoformat(day)))
    return exp.and_(plan.kept, this)


def write_day(
    db: Database, day: str, held: Mapping[str, Held], folder: Path, size: int
) -> None:
    """Write a day from the view `examples` into a new folder, a part a piece, in the order of `held`.

    The view `log` is left with the day's files.
    """
    folder.mkdir()
    this = exp.null() if day == UNDATED else exp.convert(date.fromisoformat(day))
    for number, piece in enumerate(pieces(held, size)):
        narrow(db, "log", piece.files)
        copy = tree(
            "write_day", this_day=this, first_row=exp.convert(piece.first_row),
            last_row=exp.convert(piece.last_row),
        )
        copy.set("files", [exp.Literal.string(str(folder / f"part-{number:05d}.parquet"))])
        db.execute(text(copy))
    narrow(db, "log", held)


def link_day(day: str, old: Path, new: Path) -> None:
    """Give a day's files to another folder too; where that cannot be, copy them."""
    source, target = day_folder(old, day), day_folder(new, day)
    target.mkdir()
    for file in sorted(source.iterdir()):
        try:
            os.link(file, target / file.name)
        except OSError:  # a file system without links, or too many to one file
            shutil.copy2(file, target / file.name)
