"""What the examples will hold: a problem and the types of its files go in, a checked plan comes out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb
from sqlglot import exp

from recmtl.data.labels import Expression, parse
from recmtl.data.logs import values
from recmtl.data.logs.moment import day_of, time_of
from recmtl.data.logs.table import Table, find, open_table
from recmtl.data.logs.values import Check, Value, family
from recmtl.errors import RecmtlError, nearest
from recmtl.schema import (
    Bag,
    Feature,
    HashSplit,
    History,
    Numeric,
    Problem,
    Vector,
    resolve_features,
)
from recmtl.schema.features import columns_of

RESERVED = ("_file", "_row", "_time", "_weight", "_day", "_path", "dt")


@dataclass(frozen=True)
class Side:
    """A side table and its keys, each as read in the log and in the table."""

    table: Table
    keys: tuple[tuple[Value, Value], ...]


@dataclass(frozen=True)
class Label:
    """A label's expression, the SQL that the examples hold, and whether all it may be is 0, 1, null."""

    expression: Expression
    read: exp.Expr
    binary: bool
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Everything that ingest does, decided before a row is read."""

    log: Table
    sides: tuple[Side, ...]
    where: Expression | None
    time: exp.Expr | None
    day: exp.Expr | None
    values: tuple[Value, ...]
    labels: Mapping[str, "Label"]
    weight: Value | None
    features: Mapping[str, Feature]

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are read."""
        return self.log.files + tuple(file for side in self.sides for file in side.table.files)

    @property
    def kept(self) -> exp.Expr:
        """The condition for rows to keep."""
        return self.where.condition(self.log.name) if self.where else exp.true()


def make_plan(db: duckdb.DuckDBPyConnection, problem: Problem, files: tuple[str, ...]) -> Plan:
    """Open the log and its side tables and check every use of a column against its type."""
    source = problem.data.impressions
    log = open_table(db, "log", "data.impressions", files)
    sides = tuple(_open_sides(db, problem, log))
    labels = {name: _label(problem, log, name) for name in problem.labels}
    owners = _owners(log, sides)
    inputs: dict[str, str] = {}
    for name, label in labels.items():
        inputs = dict.fromkeys(label.expression.columns, name) | inputs
    features = resolve_features(
        problem.features, owners, problem.forbidden(inputs, tuple(owners))
    )
    carried = _values(problem, features, owners)
    _check_names([v.column for v in carried], labels)
    weight, time = problem.data.weight, time_of(log, source)
    return Plan(
        log=log, sides=sides, where=_condition(log, source.where),
        time=time, day=day_of(log, source, time), values=carried, labels=labels, features=features,
        weight=_number(log, weight, "data.weight") if weight else None,
    )


def _condition(log: Table, source: str | None) -> Expression | None:
    if source is None:
        return None
    where = parse("data.impressions.where", source, condition=True)
    _check_types(log, where)
    return where


def _label(problem: Problem, log: Table, name: str) -> Label:
    expression = parse(f"[labels] {name}", problem.labels[name])
    _check_types(log, expression)
    if not expression.bare:
        return Label(expression, expression.label(log.name), binary=True)
    value = _number(log, expression.columns[0], expression.where)
    binary = any(
        task.given == name or (task.label == name and task.type == "binary")
        for task in problem.tasks.values()
    )
    return Label(expression, value.read, binary, value.checks)


def _number(log: Table, column: str, where: str) -> Value:
    return values.number(log.name, column, log.type_of(column, where), where)


def side_files(problem: Problem) -> list[tuple[str, ...]]:
    """The files of each side table. Raises RecmtlError where there are none."""
    return [
        find(problem, [join.path], f"data.joins[{number}]")
        for number, join in enumerate(problem.data.joins)
    ]


def _open_sides(db: duckdb.DuckDBPyConnection, problem: Problem, log: Table) -> Iterable[Side]:
    for number in range(len(problem.data.joins)):
        yield open_side(db, problem, log, number)


def open_side(
    db: duckdb.DuckDBPyConnection, problem: Problem, log: Table, number: int
) -> Side:
    """Open a side table as the view `side_NUMBER`. Raises RecmtlError where its keys do not fit."""
    join = problem.data.joins[number]
    where = f"data.joins[{number}] ({join.path})"
    files = find(problem, [join.path], f"data.joins[{number}]")
    table = open_table(db, f"side_{number}", where, files)
    keys = []
    for key in join.keys:
        left = values.identity("log", key, log.type_of(key, where), where)
        right = values.identity(table.name, key, table.type_of(key, where), where)
        if left.kind != right.kind:
            raise RecmtlError(
                f"the key {key!r} has type {log.type_of(key, where)} in the log and "
                f"{table.type_of(key, where)} in the side table",
                where=where, fix="write both with one type",
            )
        keys.append((left, right))
    return Side(table, tuple(keys))


def _owners(log: Table, sides: tuple[Side, ...]) -> dict[str, tuple[Table, ...]]:
    """The tables that have a column, side tables' keys aside."""
    owners: dict[str, tuple[Table, ...]] = dict.fromkeys(log.types, (log,))
    for side in sides:
        keys = {right.column for _, right in side.keys}
        for column in side.table.types:
            if column not in keys:
                owners[column] = (*owners.get(column, ()), side.table)
    return owners


def _check_types(log: Table, read: Expression) -> None:
    for column in read.columns:
        log.type_of(column, read.where)
    for column in read.booleans:
        kind = log.type_of(column, read.where)
        if family(kind) not in ("integer", "float", "boolean", "null"):
            raise RecmtlError(
                f"the column {column!r} has type {kind} and stands as a boolean", where=read.where,
                expected="a column of 0, 1 and null", fix=f"compare it, e.g. {column} = 'yes'",
            )
    for column, is_string in read.literals():
        group = family(log.type_of(column, read.where))
        if (group == "text") != is_string and group in ("text", "integer", "float", "boolean"):
            raise RecmtlError(
                f"the column {column!r} has type {log.type_of(column, read.where)} and is compared "
                f"with a {'string' if is_string else 'number'}", where=read.where,
            )


def _values(
    problem: Problem, features: Mapping[str, Feature], owners: Mapping[str, tuple[Table, ...]]
) -> tuple[Value, ...]:
    """The carried columns: keys, group, id and hashed columns as ids, then those of the features."""
    data, found = problem.data, dict[str, Value]()
    hashed = data.split.hash if isinstance(data.split, HashSplit) else ()
    single = (("data.group", data.group), ("data.impressions.id", data.impressions.id))
    ids = [*(("data.keys", c) for c in data.keys), *((w, c) for w, c in single if c),
           *(("data.split.hash", c) for c in hashed)]
    for where, name in ids:
        table = _owner(name, where, owners)
        found[name] = values.identity(table.name, name, table.type_of(name, where), where)
    for feature_name, feature in features.items():
        where = f"[features] {feature_name}"
        for name in columns_of(feature_name, feature):
            new = _value(feature, _owner(name, where, owners), name, where)
            old = found.get(name, new)
            if "DOUBLE" in (old.kind, new.kind):  # an id read as a number too stays an id
                found[name] = new if old.kind == "DOUBLE" else old
            elif old.kind != new.kind:
                raise RecmtlError(
                    f"the column {name!r} is read as {new.kind} here and as {old.kind} elsewhere",
                    where=where,
                )
            else:
                found[name] = old
    return tuple(found.values())


def _value(feature: Feature, table: Table, name: str, where: str) -> Value:
    kind = table.type_of(name, where)
    if isinstance(feature, Numeric):
        return values.number(table.name, name, kind, where)
    if isinstance(feature, Vector):
        return values.vector(table.name, name, kind, where, feature.size)
    if isinstance(feature, Bag | History):
        separator = feature.separator if isinstance(feature, Bag) else None
        return values.identities(table.name, name, kind, where, separator)
    return values.identity(table.name, name, kind, where)


def _owner(name: str, where: str, owners: Mapping[str, tuple[Table, ...]]) -> Table:
    tables = owners.get(name, ())
    if not tables:
        raise RecmtlError(
            f"no column {name!r} in the log or its side tables",
            where=where, fix=nearest(name, owners),
        )
    if len(tables) > 1:
        raise RecmtlError(
            f"the column {name!r} is in {' and in '.join(t.where for t in tables)}",
            where=where, fix="rename it in one of them",
        )
    return tables[0]


def _check_names(columns: list[str], labels: Mapping[str, Label]) -> None:
    """Every column of the examples has a name of its own, in SQL's eyes, which see no case."""
    taken = {name.casefold(): "a name that examples reserve" for name in RESERVED}
    for name in [*columns, *labels]:
        if name.casefold() in taken:
            where = f"[labels] {name}" if name in labels else "data"
            raise RecmtlError(
                f"the name {name!r} is {taken[name.casefold()]}", where=where,
                fix="give the label another name" if name in labels else "rename the column",
            )
        taken[name.casefold()] = "the name of a key's, a feature's or a label's column"
