"""Rows to score in, piece by piece; the columns that an encoder reads, in canonical types, and keys out.

The rows come as the log has them or as examples hold them. A column of theirs wins; one that they
lack is joined from the configuration's side tables. Rows keep their number and their order.
"""

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from sqlglot import exp

from recmtl.data.duck import connect, duck_errors
from recmtl.data.encoder import Encoder
from recmtl.data.ingest import examples_view
from recmtl.data.logs import values
from recmtl.data.logs.checks import check_sides, check_values
from recmtl.data.logs.plan import Plan, Side, open_side
from recmtl.data.logs.table import Table
from recmtl.data.logs.values import Value, family
from recmtl.data.query import column, statement, text, tree
from recmtl.errors import RecmtlError, nearest
from recmtl.schema import Bag, Problem, Vector
from recmtl.schema.config import expand
from recmtl.schema.features import columns_of

_USED_BY = "the model's features"


@dataclass(frozen=True)
class Source:
    """Rows in pieces of one schema; `where` names them in errors."""

    where: str
    schema: pa.Schema
    tables: Iterable[pa.Table]

    def pieces(self) -> Iterator[pa.Table]:
        """At least one: without rows, an empty one."""
        found = False
        for table in self.tables:
            found = True
            yield table
        if not found:
            yield self.schema.empty_table()


class Candidates:
    """Reads sources for one encoder. `rooted`: whether relative paths of side tables mean something."""

    def __init__(self, problem: Problem, encoder: Encoder, rooted: bool = True) -> None:
        self._problem, self._fitted, self._rooted = problem, encoder.fitted, rooted

    def keys(self, names: Collection[str]) -> list[str]:
        """The keys that an input with the columns `names` carries to its scores."""
        data = self._problem.data
        return [k for k in dict.fromkeys((data.impressions.id, *data.keys)) if k and k in names]

    def reads(self, names: Collection[str]) -> list[str]:
        """Which of the columns `names` of an input are read at all."""
        joined = [key for join in self._problem.data.joins for key in join.keys]
        wanted = dict.fromkeys([*self.keys(names), *self._fitted.columns, *joined])
        return [name for name in wanted if name in names]

    def read(self, source: Source) -> Iterator[pa.Table]:
        """A table a piece: keys and the encoder's columns, row for row.

        Raises RecmtlError naming a column that is nowhere, has another type or a value that does not
        fit, and a side table that is missing or has a key twice.
        """
        with closing(connect(self._problem.data.memory_limit)) as db, duck_errors(source.where):
            plan = self._plan(db, source)
            check_values(db, plan)
            check_sides(db, plan)
            db.execute(statement("sources", paths=exp.convert([source.where])))
            db.execute(examples_view(plan))
            own = self._of_the_log(plan)
            for piece in source.pieces():
                _register(db, piece, source.where)
                check_values(db, own)
                yield db.sql(statement("candidates")).to_arrow_table()

    def _plan(self, db: duckdb.DuckDBPyConnection, source: Source) -> Plan:
        """What is read from where. The log is empty while this and the side tables are checked."""
        _register(db, source.schema.empty_table(), source.where)
        described = db.execute("DESCRIBE log").fetchall()
        types = {n: {source.where: kind} for n, kind, *_ in described if n in source.schema.names}
        log = Table("log", "the input", (source.where,), types)
        sides = self._sides(db, log)
        owners = {c: side.table for side, held in sides for c in held} | dict.fromkeys(types, log)
        found = {
            name: values.identity("log", name, log.type_of(name, "data.keys"), "data.keys")
            for name in self.keys(types)
        }
        for name in self._fitted.columns:
            if name not in owners:
                raise self._nowhere(name, log)
            found[name] = self._value(owners[name], name)
        return Plan(
            log=log, sides=tuple(side for side, _ in sides), where=None, time=None, day=None,
            values=tuple(found.values()), labels={}, weight=None, features=self._fitted.features,
        )

    def _sides(
        self, db: duckdb.DuckDBPyConnection, log: Table
    ) -> list[tuple[Side, list[str]]]:
        """The side tables that hold a column which the log lacks, and those columns."""
        lacking = [name for name in self._fitted.columns if name not in log.types]
        found = []
        for number, join in enumerate(self._problem.data.joins):
            if not lacking or not set(join.keys) <= set(log.types):
                continue
            self._check_path(number, lacking)
            side = open_side(db, self._problem, log, number)
            held = [name for name in lacking if name in side.table.types]
            if held:
                _keep(db, side, held)
                found.append((side, held))
            lacking = [name for name in lacking if name not in held]
        return found

    def _check_path(self, number: int, lacking: list[str]) -> None:
        path = self._problem.data.joins[number].path
        if not self._rooted and not os.path.isabs(expand(path, Path())):
            raise RecmtlError(
                f"the side table's path {path!r} is relative to a configuration that is not here",
                where=f"data.joins[{number}]", expected="an absolute path, or one with ${VARIABLES}",
                found=f"an input without {', '.join(lacking[:5])}{', …' * (len(lacking) > 5)}",
                fix="give these columns in the input, or say what the path is relative to (root=…)",
            )

    def _value(self, table: Table, name: str) -> Value:
        """A column as it was in training. Raises RecmtlError where its type is another."""
        wanted, kind = self._fitted.columns[name], table.type_of(name, _USED_BY)
        if family(kind) in ("null", "list of null"):
            return Value(table.name, name, wanted, exp.null())
        where = table.files[0]
        if wanted == "DOUBLE":
            value = values.number(table.name, name, kind, where)
        elif wanted.startswith("FLOAT"):
            value = values.vector(table.name, name, kind, where, self._size(name))
        elif wanted.endswith("]"):
            separator = self._separator(name) if family(kind) == "text" else None
            value = values.identities(table.name, name, kind, where, separator)
        else:
            value = values.identity(table.name, name, kind, where)
        if value.kind != wanted:
            raise RecmtlError(
                f"the column {name!r} has type {kind}", where=where,
                expected=f"{wanted}, as it had in training",
            )
        return value

    def _size(self, name: str) -> int:
        return next(
            f.size for n, f in self._fitted.features.items()
            if isinstance(f, Vector) and name in columns_of(n, f)
        )

    def _separator(self, name: str) -> str | None:
        return next((
            f.separator for n, f in self._fitted.features.items()
            if isinstance(f, Bag) and name in columns_of(n, f)
        ), None)

    def _of_the_log(self, plan: Plan) -> Plan:
        """The plan of what is new with each piece, for checks that need no look at side tables."""
        keys = tuple(left for side in plan.sides for left, _ in side.keys)
        own = tuple(value for value in plan.values if value.table == plan.log.name)
        return replace(plan, sides=(), values=tuple({v.column: v for v in (*own, *keys)}.values()))

    def _nowhere(self, name: str, log: Table) -> RecmtlError:
        absent = [
            key for join in self._problem.data.joins for key in join.keys if key not in log.types
        ]
        return RecmtlError(
            f"no column {name!r}, which the model reads", where=log.files[0],
            expected="it in the input, or in a side table of the model's configuration",
            found=", ".join(log.types) or "no column that the model reads",
            fix=f"give it, or {', '.join(absent)} to join it by" if absent else nearest(name, log.types),
        )


def _register(db: duckdb.DuckDBPyConnection, piece: pa.Table, where: str) -> None:
    """Make a piece the view `log`, with row numbers and a path as a log's files have them."""
    rows = pa.array(np.arange(piece.num_rows, dtype=np.int64))
    path = pa.repeat(pa.scalar(where), piece.num_rows)
    db.register("log", piece.append_column("_row", rows).append_column("_path", path))


def _keep(db: duckdb.DuckDBPyConnection, side: Side, columns: list[str]) -> None:
    """Hold the joined columns of a side table in the database: every piece is joined to them."""
    view, kept = exp.to_table(side.table.name), exp.to_table(f"kept_{side.table.name}")
    made = tree("keep_side", side=view, kept=kept)
    keys = [right.column for _, right in side.keys]
    made.expression.select(*(column(name) for name in dict.fromkeys([*keys, *columns])), copy=False)
    db.execute(text(made))
    db.execute(statement("use_kept", side=view, kept=kept))
