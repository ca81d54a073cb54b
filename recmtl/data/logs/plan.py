"""What the examples will hold: a problem and the types of its files go in, a checked plan comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.events.outcomes import Events
from recmtl.data.labels import Expression
from recmtl.data.logs import values
from recmtl.data.logs.conditions import read_condition
from recmtl.data.logs.files import Files
from recmtl.data.logs.label_values import Label, number_of, read_label
from recmtl.data.logs.moment import day_of, time_of
from recmtl.data.logs.sides import Side, open_side
from recmtl.data.logs.table import Table, open_table
from recmtl.data.logs.values import Value
from recmtl.data.query import expression
from recmtl.errors import RecmtlError, alike, nearest
from recmtl.schema import (
    Bag,
    Computed,
    Count,
    Feature,
    HashSplit,
    History,
    Numeric,
    Problem,
    Rate,
    Vector,
    resolve_features,
)
from recmtl.schema.features import columns_of

_ID_LISTS = ("BIGINT[]", "VARCHAR[]")
RESERVED = ("_file", "_row", "_time", "_weight", "_day", "_path", "_part", "dt")


@dataclass(frozen=True)
class Plan:
    """Everything that ingest does, decided before a row is read."""

    log: Table
    sides: tuple[Side, ...]
    where: Expression | None
    time: exp.Expr | None
    day: exp.Expr | None
    values: tuple[Value, ...]
    labels: Mapping[str, Label]
    weight: Value | None
    features: Mapping[str, Feature]
    events: Events = field(default_factory=Events)
    repeats: bool = False  # the table `repeated` names rows of the log that are left out

    @property
    def tables(self) -> tuple[Table, ...]:
        """The log, its side tables and its sources of events."""
        sides = tuple(side.table for side in self.sides)
        return (self.log, *sides, *(source.table for source in self.events.sources))

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are read."""
        return tuple(file for table in self.tables for file in table.files)

    @property
    def meant(self) -> exp.Expr:
        """The condition for rows that are impressions, whenever they were and however often logged."""
        return self.where.condition(self.log.name) if self.where else exp.true()

    @property
    def kept(self) -> exp.Expr:
        """The condition for rows to keep."""
        kept = exp.and_(self.meant, self.events.seen(self.time)) if self.events.as_of else self.meant
        return exp.and_(kept, expression("not_repeated", "not_repeated")) if self.repeats else kept


def make_plan(db: Database, problem: Problem, files: tuple[str, ...], inputs: Files) -> Plan:
    """Open the log's files and the other ones and check every use of a column against its type."""
    source = problem.data.impressions
    log = open_table(db, "log", "data.impressions", files)
    time = time_of(log, source)
    events = Events.open(db, problem, log, inputs)
    met = {"impression": time, "latest": exp.convert(events.as_of) if events.as_of else None}
    sides = tuple(
        open_side(db, problem, log, number, met[join.at], inputs[f"joins[{number}]"])
        for number, join in enumerate(problem.data.joins)
    )
    labels = {name: read_label(problem, events.beside(log), name) for name in problem.labels}
    owners = _owners(log, sides)
    events.refuse_clashes(owners)
    read: dict[str, str] = {}
    for name, label in labels.items():
        read = dict.fromkeys(label.expression.columns, name) | read
    features = resolve_features(
        problem.features, owners, problem.forbidden(read, tuple(owners))
    )
    carried = _values(problem, features, owners)
    rates = {c: n for n, f in features.items() if isinstance(f, Rate | Count) for c in f.inputs(n)}
    _check_names([v.column for v in carried], labels, rates)
    weight = problem.data.weight
    return Plan(
        log=log, sides=sides, where=read_condition(log, "data.impressions.where", source.where),
        time=time, day=day_of(log, source, time), values=carried, features=features, events=events,
        labels={name: _once_known(label, events, time) for name, label in labels.items()},
        weight=number_of(log, weight, "data.weight") if weight else None,
    )


def _once_known(label: Label, events: Events, time: exp.Expr | None) -> Label:
    return replace(label, read=events.label(label.read, label.expression.columns, time))


def _owners(log: Table, sides: tuple[Side, ...]) -> dict[str, tuple[Table, ...]]:
    """The tables that have a column; what only tells a side table's rows apart is the table's own."""
    owners: dict[str, tuple[Table, ...]] = dict.fromkeys(log.types, (log,))
    for side in sides:
        for column in side.table.types:
            if column not in side.own:
                owners[column] = (*owners.get(column, ()), side.table)
    return owners


def _values(
    problem: Problem, features: Mapping[str, Feature], owners: Mapping[str, tuple[Table, ...]]
) -> tuple[Value, ...]:
    """The carried columns: keys, group, id and the like as ids, then those of the features.

    A key of a rate is an id, or the list that another feature reads in its place.
    """
    data, found = problem.data, dict[str, Value]()
    hashed = data.split.hash if isinstance(data.split, HashSplit) else ()
    single = (("data.group", data.group), ("data.together", data.together),
              ("data.impressions.id", data.impressions.id))
    ids = [*(("data.keys", c) for c in data.keys), *((w, c) for w, c in single if c),
           *(("data.split.hash", c) for c in hashed)]
    for where, name in ids:
        table = _owner(name, where, owners)
        found[name] = values.identity(table.name, name, table.type_of(name, where), where)
    rates_last = sorted(features.items(), key=lambda item: isinstance(item[1], Rate | Count))
    for feature_name, feature in rates_last:
        where = f"[features] {feature_name}"
        for name in columns_of(feature_name, feature):
            if isinstance(feature, Rate | Count) and name in found and found[name].kind in _ID_LISTS:
                continue
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
    if isinstance(feature, Numeric | Computed):
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
            f"no column {name!r} in the log or its side tables", where=where,
            expected=f"a column {name!r}", found=f"columns {alike(name, owners)}",
            fix=nearest(name, owners),
        )
    if len(tables) > 1:
        raise RecmtlError(
            f"the column {name!r} is in {' and in '.join(t.where for t in tables)}",
            where=where, fix="rename it in one of them",
        )
    return tables[0]


def _check_names(
    columns: list[str], labels: Mapping[str, Label], rates: Mapping[str, str]
) -> None:
    """Every column of the examples has a name of its own, in SQL's eyes, which see no case.

    `rates` maps the columns that are joined to the examples later to the features that read them.
    """
    taken = {name.casefold(): "a name that examples reserve" for name in RESERVED}
    places = [("data", name, "column") for name in columns]
    places += [(f"[labels] {name}", name, "label") for name in labels]
    places += [(f"[features] {feature}", name, "feature") for name, feature in rates.items()]
    for where, name, what in places:
        if name.casefold() in taken:
            raise RecmtlError(
                f"the name {name!r} is {taken[name.casefold()]}", where=where,
                fix=f"give the {what} another name",
            )
        taken[name.casefold()] = "the name of a key's, a feature's or a label's column"
