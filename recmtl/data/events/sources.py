"""Event sources: a problem and its log go in, opened sources whose keys fit their causes' come out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.logs import values
from recmtl.data.logs.conditions import keep_rows
from recmtl.data.logs.files import Files
from recmtl.data.logs.moment import read_time
from recmtl.data.logs.table import Table, open_table
from recmtl.data.logs.values import Value
from recmtl.data.query import column, expression
from recmtl.errors import RecmtlError, alike, nearest
from recmtl.schema import Problem
from recmtl.schema.events import IMPRESSION, Event, chain
from recmtl.schema.times import PER_SECOND

_YEAR_9999 = 253_370_764_800  # seconds since 1970 at its begin


@dataclass(frozen=True)
class EventLog:
    """A log of events. `keys` are its own; `lent` are the columns that later sources are joined by.

    A lent column is a value of its own, or None where it is its cause's.
    """

    name: str
    event: Event
    table: Table
    time: exp.Expr
    id: Value | None
    keys: tuple[Value, ...]
    sums: tuple[Value, ...]
    lent: Mapping[str, Value | None]

    @property
    def values(self) -> tuple[Value, ...]:
        """Every value that is read of an event, its time aside."""
        own = [value for value in self.lent.values() if value is not None]
        return (*([self.id] if self.id else []), *self.keys, *self.sums, *own)


def open_sources(
    db: Database, problem: Problem, log: Table, files: Files
) -> tuple[tuple[EventLog, ...], tuple[Value, ...]]:
    """The sources, causes first, and what their keys are in the log.

    Raises RecmtlError for a column that is missing or has another type than its cause's.
    """
    events = problem.data.events
    tables = {IMPRESSION: log} | {
        name: _open(db, name, event, files[f"events.{name}"]) for name, event in events.items()
    }
    order = sorted(events, key=lambda name: len(chain(name, events)))
    needed: dict[str, tuple[str, ...]] = dict.fromkeys(tables, ())
    for name in reversed(order):
        event = events[name]
        of_cause = [c for c in needed[name] if c not in tables[name].types]
        needed[event.of] = tuple(dict.fromkeys([*needed[event.of], *event.keys, *of_cause]))
    sources = tuple(_source(name, events[name], tables[name], needed[name]) for name in order)
    for source in sources:
        _check_keys(source, events, tables)
    where = "data.events"
    return sources, tuple(_identity(log, key, where) for key in needed[IMPRESSION])


def _open(db: Database, name: str, event: Event, files: tuple[str, ...]) -> Table:
    where = f"data.events.{name}"
    table = open_table(db, f"source_{name}", where, files)
    return keep_rows(db, table, f"{where}.where", event.where)


def _source(name: str, event: Event, table: Table, needed: Iterable[str]) -> EventLog:
    where = f"data.events.{name}"
    lent = {c: _identity(table, c, where) if c in table.types else None for c in needed}
    return EventLog(
        name, event, table, _time(table, event, f"{where}.time"),
        _identity(table, event.id, f"{where}.id") if event.id else None,
        tuple(_identity(table, key, f"{where}.on") for key in event.keys),
        tuple(
            values.number(table.name, c, table.type_of(c, f"{where}.sum"), f"{where}.sum")
            for c in event.sum
        ),
        lent,
    )


def _time(table: Table, event: Event, where: str) -> exp.Expr:
    """The time in UTC, null where a corrupt number is none: a broken event is counted, not fatal."""
    read = read_time(table, event.time, event.unit, where)
    if event.unit is None:
        return read
    farthest = min(_YEAR_9999 * PER_SECOND[event.unit], 2**63 - 1)
    return expression(
        "outcomes", "within_reach", value=column(event.time, table.name), read=read,
        farthest=exp.convert(farthest),
    )


def _identity(table: Table, name: str, where: str) -> Value:
    return values.identity(table.name, name, table.type_of(name, where), where)


def _check_keys(source: EventLog, events: Mapping[str, Event], tables: Mapping[str, Table]) -> None:
    """Raise RecmtlError for a key that no cause has, or has as another kind of value."""
    where = f"data.events.{source.name}.on"
    causes = [*chain(source.name, events)[1:], IMPRESSION]
    for own in source.keys:
        owner = next((tables[name] for name in causes if own.column in tables[name].types), None)
        if owner is None:
            known = {c for name in causes for c in tables[name].types}
            raise RecmtlError(
                f"no column {own.column!r} in {' or '.join(tables[name].where for name in causes)}",
                where=where, expected=f"a column {own.column!r}",
                found=f"columns {alike(own.column, known)}", fix=nearest(own.column, known),
            )
        theirs = _identity(owner, own.column, where)
        if own.kind != theirs.kind:
            raise RecmtlError(
                f"the key {own.column!r} has type {source.table.type_of(own.column, where)} in "
                f"{source.table.where} and {owner.type_of(own.column, where)} in {owner.where}",
                where=where, fix="write both with one type",
            )
