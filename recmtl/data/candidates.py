"""Rows to score in, piece by piece; the columns that an encoder reads, in canonical types, and keys out.

The rows come as the log has them or as examples hold them. A column of theirs wins; one that they
lack is joined from the configuration's side tables: of a history the row that holds at the rows' own
time, the latest where they have none. What neither has their folders may give. Rows keep their number
and their order.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from sqlglot import exp

from recmtl.data.duck import connect, engine_errors
from recmtl.data.encoder import Encoder
from recmtl.data.logs import values
from recmtl.data.logs.bad_values import check_values
from recmtl.data.logs.checks import check_history, check_sides
from recmtl.data.logs.files import is_remote
from recmtl.data.logs.moment import time_of
from recmtl.data.logs.plan import Plan
from recmtl.data.logs.sides import Side, hold, open_side
from recmtl.data.logs.table import Table
from recmtl.data.logs.values import Value, family
from recmtl.data.logs.view import examples_view
from recmtl.data.query import statement
from recmtl.data.unjoined import as_they_are
from recmtl.errors import RecmtlError, nearest
from recmtl.schema import Bag, Problem, Vector
from recmtl.schema.config import expand
from recmtl.schema.features import columns_of

_USED_BY = "the model's features"
_Reader = Callable[[pa.Table, str], pa.Table]  # a piece and its source's name in, rows to encode out


@dataclass(frozen=True)
class Source:
    """Rows in pieces of one schema; `where` names them in errors.

    `of_folders` are the columns that folders give, of which a side table may know better.
    """

    where: str
    schema: pa.Schema
    tables: Iterable[pa.Table]
    of_folders: Collection[str] = ()

    def pieces(self) -> Iterator[pa.Table]:
        """At least one: without rows, an empty one."""
        found = False
        for table in self.tables:
            found = True
            yield table
        if not found:
            yield self.schema.empty_table()


class Candidates:
    """Reads sources for one encoder. `rooted`: whether relative paths of side tables mean something.

    `columns` are those to read where they are not the encoder's own: keys in the place of rates.
    """

    def __init__(
        self, problem: Problem, encoder: Encoder, rooted: bool = True,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        self._problem, self._fitted, self._rooted = problem, encoder.fitted, rooted
        self._columns = encoder.columns if columns is None else columns

    def keys(self, names: Collection[str]) -> list[str]:
        """The keys that an input with the columns `names` carries to its scores."""
        data = self._problem.data
        return [k for k in dict.fromkeys((data.impressions.id, *data.keys)) if k and k in names]

    def reads(self, names: Collection[str]) -> list[str]:
        """Which of the columns `names` of an input are read at all."""
        data = self._problem.data
        joined = [key for join in data.joins for key in join.keys]
        if data.impressions.time and any(join.valid_from for join in data.joins):
            joined.append(data.impressions.time)
        wanted = dict.fromkeys([*self.keys(names), *self._columns, *joined])
        return [name for name in wanted if name in names]

    def read(self, sources: Iterable[Source]) -> Iterator[tuple[int, pa.Table]]:
        """The number of its source and a table a piece: keys and the encoder's columns, row for row.

        Side tables are read once for sources of the same columns. Raises RecmtlError naming a column that
        is nowhere, has another type or a value that does not fit, and a side table that is missing or has
        a key twice.
        """
        spill = spill_here(self._problem, self._rooted)
        limit = self._problem.data.memory_limit
        opened: tuple[object, _Reader] | None = None
        with closing(connect(limit, spill)) as db:
            for number, source in enumerate(sources):
                with engine_errors(source.where):
                    given = source.schema, tuple(source.of_folders)
                    if opened is None or opened[0] != given:
                        opened = given, self._reader(db, source)
                    for piece in source.pieces():
                        yield number, opened[1](piece, source.where)

    def _reader(self, db: duckdb.DuckDBPyConnection, source: Source) -> _Reader:
        """What reads a piece of a source with these columns; in SQL only where one needs it."""
        plan, keys, sizes = self._plan(db, source), self.keys(source.schema.names), self._sizes
        by_sql = self._by_sql(db, plan) if plan.sides else None

        def read(piece: pa.Table, where: str) -> pa.Table:
            nonlocal by_sql
            table = None if by_sql else as_they_are(piece, plan.values, keys, sizes)
            if table is None:
                by_sql = by_sql or self._by_sql(db, plan)
                table = by_sql(piece, where)
            return table

        return read

    def _by_sql(self, db: duckdb.DuckDBPyConnection, plan: Plan) -> _Reader:
        """What joins a piece and reads it in canonical types, once its values have been checked."""
        check_values(db, plan)
        check_sides(db, plan)
        own, view = self._of_the_log(plan), examples_view(plan)

        def read(piece: pa.Table, where: str) -> pa.Table:
            _register(db, piece, where)
            check_values(db, own)
            db.execute(statement("sources", numbers=exp.convert([0]), paths=exp.convert([where])))
            db.execute(view)
            return db.sql(statement("candidates")).to_arrow_table()

        return read

    def _plan(self, db: duckdb.DuckDBPyConnection, source: Source) -> Plan:
        """What is read from where. The log is empty while this and the side tables are checked."""
        _register(db, source.schema.empty_table(), source.where)
        described = db.execute("DESCRIBE log").fetchall()
        types = {n: {source.where: kind} for n, kind, *_ in described if n in source.schema.names}
        log = Table("log", "the input", (source.where,), types)
        sides = self._sides(db, log, source.of_folders)
        owners = dict.fromkeys(types, log) | {c: side.table for side, held in sides for c in held}
        found = {
            name: values.identity("log", name, log.type_of(name, "data.keys"), "data.keys")
            for name in self.keys(types)
        }
        for name in self._columns:
            if name not in owners:
                raise self._nowhere(name, log)
            found[name] = self._value(owners[name], name)
        return Plan(
            log=log, sides=tuple(side for side, _ in sides), where=None, time=None, day=None,
            values=tuple(found.values()), labels={}, weight=None, features=self._fitted.features,
        )

    def _sides(
        self, db: duckdb.DuckDBPyConnection, log: Table, of_folders: Collection[str]
    ) -> list[tuple[Side, list[str]]]:
        """The side tables that hold a column which the log lacks, and those columns."""
        lacking = [name for name in self._columns if name not in log.types or name in of_folders]
        found = []
        for number, join in enumerate(self._problem.data.joins):
            if not lacking or not set(join.keys) <= set(log.types):
                continue
            if not self._reachable(number):
                nowhere = [name for name in lacking if name not in log.types]
                if nowhere:
                    raise self._unreachable(number, nowhere)
                continue
            at = self._time(log) if join.at == "impression" else None
            side = open_side(db, self._problem, log, number, at)
            held = [name for name in lacking if name in side.table.types]
            if held:
                check_history(db, side)
                hold(db, side, held)
                found.append((side, held))
            lacking = [name for name in lacking if name not in held]
        return found

    def _time(self, log: Table) -> exp.Expr | None:
        """The input's time, at which a side table's row must hold; without it the latest row does."""
        source = self._problem.data.impressions
        return time_of(log, source) if source.time in log.types else None

    def _reachable(self, number: int) -> bool:
        """Whether the path of a side table means something here."""
        whole = expand(self._problem.data.joins[number].path, Path())
        return self._rooted or is_remote(whole) or os.path.isabs(whole)

    def _unreachable(self, number: int, lacking: list[str]) -> RecmtlError:
        path = self._problem.data.joins[number].path
        return RecmtlError(
            f"the side table's path {path!r} is relative to a configuration that is not here",
            where=f"data.joins[{number}]", expected="an absolute path, or one with ${VARIABLES}",
            found=f"an input without {', '.join(lacking[:5])}{', …' * (len(lacking) > 5)}",
            fix="give these columns in the input, or say where the model's file lay: --root FOLDER "
                "(root=… in Python)",
        )

    def _value(self, table: Table, name: str) -> Value:
        """A column as it was in training. Raises RecmtlError where its type is another."""
        wanted, kind = self._columns[name], table.type_of(name, _USED_BY)
        if family(kind) in ("null", "list of null"):
            return Value(table.name, name, wanted, exp.null())
        where = table.files[0]
        if wanted == "DOUBLE":
            value = values.number(table.name, name, kind, where)
        elif wanted.startswith("FLOAT"):
            value = values.vector(table.name, name, kind, where, self._sizes[name])
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

    @property
    def _sizes(self) -> dict[str, int]:
        """Numbers in each column of vectors."""
        vectors = {n: f for n, f in self._fitted.features.items() if isinstance(f, Vector)}
        return {column: f.size for name, f in vectors.items() for column in columns_of(name, f)}

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
        close = nearest(name, log.types)
        return RecmtlError(
            f"no column {name!r}, which the model reads", where=log.files[0],
            expected="it in the input, or in a side table of the model's configuration",
            found=", ".join(log.types) or "no column that the model reads",
            fix=f"give a column {name!r}" + (f", or {', '.join(absent)} to join it by" if absent else "")
            + (f"; {close}" if close.startswith("did you mean") else ""),
        )


def spill_here(problem: Problem, rooted: bool) -> Path | None:
    """The folder `spill` of a model's file, where this machine has one or lets it be made; else None.

    The model may have been trained on a machine with other disks: the system's folder does as well.
    """
    named = problem.data.spill
    if named is None:
        return None
    try:
        folder = Path(expand(named, problem.root if rooted else Path()))
        if rooted or folder.is_absolute():
            folder.mkdir(parents=True, exist_ok=True)
            return folder if os.access(folder, os.W_OK) else None
    except (RecmtlError, OSError):  # a variable that is not set here, or a place that cannot be written
        pass
    return None


def _register(db: duckdb.DuckDBPyConnection, piece: pa.Table, where: str) -> None:
    """Make a piece the view `log`, with row numbers and a path as a log's files have them."""
    rows = pa.array(np.arange(piece.num_rows, dtype=np.int64))
    path = pa.repeat(pa.scalar(where), piece.num_rows)
    db.register("log", piece.append_column("_row", rows).append_column("_path", path))

