"""Side tables: one that a configuration names goes in, opened and with keys that fit; so does its join.

A table with `valid_from` keeps a key's history: each row holds until the key's next one takes over,
and an impression meets the one that holds at its time. Intervals of a key never overlap, so that no
join multiplies rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.logs import values
from recmtl.data.logs.conditions import keep_rows
from recmtl.data.logs.files import find
from recmtl.data.logs.moment import read_time, zone_beside
from recmtl.data.logs.table import Table, open_table
from recmtl.data.logs.values import Value
from recmtl.data.query import column, expression, statement, text, tree
from recmtl.errors import RecmtlError
from recmtl.schema import Problem


@dataclass(frozen=True)
class Side:
    """A side table and its keys, each as read in the log and in the table.

    `since` is the time from which a row holds; `at` is the time at which it must, that of the log's row
    or one for all, None for the latest row.
    """

    table: Table
    keys: tuple[tuple[Value, Value], ...]
    since: Value | None = None
    at: exp.Expr | None = None

    @property
    def of_each_row(self) -> bool:
        """Whether each row of the log asks for a time of its own."""
        return self.at is not None and self.at.find(exp.Column) is not None

    @property
    def own(self) -> set[str]:
        """The columns that say which row it is: keys and the time from which it holds."""
        return {right.column for _, right in self.keys} | ({self.since.column} if self.since else set())


def open_side(
    db: Database, problem: Problem, log: Table, number: int, at: exp.Expr | None,
    files: tuple[str, ...] | None = None,
) -> Side:
    """Open a side table as the view `side_NUMBER`; of a history the row is met that holds `at` a time.

    `files` are its files, if they are known; they are looked for otherwise. Raises RecmtlError where keys
    do not fit.
    """
    join = problem.data.joins[number]
    where = f"data.joins[{number}] ({join.path})"
    files = files or find(problem, [join.path], f"data.joins[{number}]")
    table = open_table(db, f"side_{number}", where, files)
    table = keep_rows(db, table, f"data.joins[{number}].where", join.where)
    keys = tuple(_key(log, table, key, where) for key in join.keys)
    if join.valid_from is None:
        return Side(table, keys)
    zone = zone_beside(log, problem.data.impressions, table, join.valid_from)
    read = read_time(table, join.valid_from, join.unit, f"data.joins[{number}].valid_from", zone)
    since = Value(table.name, join.valid_from, "TIMESTAMP", read)
    return Side(table, keys, since, at)


def _key(log: Table, table: Table, key: str, where: str) -> tuple[Value, Value]:
    left = values.identity("log", key, log.type_of(key, where), where)
    right = values.identity(table.name, key, table.type_of(key, where), where)
    if left.kind != right.kind:
        raise RecmtlError(
            f"the key {key!r} has type {log.type_of(key, where)} in the log and "
            f"{table.type_of(key, where)} in the side table",
            where=where, fix="write both with one type",
        )
    return left, right


def matches(side: Side) -> exp.Expr:
    """The condition that joins a side table to the log; a history must be held by `hold`."""
    keys = [exp.EQ(this=left.read, expression=right.read) for left, right in side.keys]
    if side.since is None:
        return exp.and_(*keys)
    bounds = {name: column(name, side.table.name) for name in ("_from", "_until")}
    if side.at is None:
        return exp.and_(*keys, expression("holds", "latest", **bounds))
    return exp.and_(*keys, expression("holds", "at_time", at=side.at, **bounds))


def hold(db: Database, side: Side, columns: Iterable[str]) -> None:
    """Keep these columns of a side table in the database, under its name, read once for all joins."""
    view, kept = exp.to_table(side.table.name), exp.to_table(f"kept_{side.table.name}")
    if side.since is None:
        made = tree("keep_side", side=view, kept=kept)
    else:
        made = tree("keep_history", side=view, kept=kept, valid_from=side.since.read)
        for window in made.find_all(exp.Window):
            window.set("partition_by", [right.read.copy() for _, right in side.keys])
    names = dict.fromkeys([*(right.column for _, right in side.keys), *columns])
    made.expression.select(*(column(name) for name in names), copy=False)
    db.execute(text(made))
    db.execute(statement("use_kept", side=view, kept=kept))
