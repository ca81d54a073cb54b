"""What events add to impressions: sources and `as_of` go in, columns that labels read come out.

A label is null while a source that it reads from is immature: while the window of that source, and of
those before it, is open at `as_of`. The impression's age alone decides, never what has arrived.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.events.sources import EventLog, open_sources
from recmtl.data.logs.files import Files
from recmtl.data.logs.table import Table
from recmtl.data.logs.values import Value
from recmtl.data.query import column, expression
from recmtl.errors import RecmtlError
from recmtl.schema import Problem
from recmtl.schema.events import IMPRESSION, chain, horizon
from recmtl.schema.times import in_utc


@dataclass(frozen=True)
class Events:
    """Opened sources, causes first; their keys in the log; and the time of which all is told."""

    sources: tuple[EventLog, ...] = ()
    keys: tuple[Value, ...] = ()
    as_of: datetime | None = None  # in UTC

    @property
    def values(self) -> tuple[Value, ...]:
        """Every value that crediting reads, times aside."""
        return (*self.keys, *(value for source in self.sources for value in source.values))

    @property
    def columns(self) -> dict[str, EventLog]:
        """Each column that impressions get, and its source."""
        return {c: source for source in self.sources for c in source.event.columns(source.name)}

    @classmethod
    def open(cls, db: Database, problem: Problem, log: Table, files: Files) -> "Events":
        """Raises RecmtlError for a source that is missing, or whose columns do not fit its causes'."""
        data, zone = problem.data, problem.data.impressions.zone
        as_of = in_utc(data.as_of, zone) if data.as_of else None
        return cls(*open_sources(db, problem, log, files), as_of)

    def beside(self, log: Table) -> Table:
        """The log as labels see it, with the events' columns."""
        added: dict[str, str] = {}
        for source in self.sources:
            flag, time, *sums = source.event.columns(source.name)
            added |= {flag: "TINYINT", time: "TIMESTAMP"} | dict.fromkeys(sums, "DOUBLE")
        types = {name: dict.fromkeys(log.files, kind) for name, kind in added.items()}
        return replace(log, types={**log.types, **types})

    def refuse_clashes(self, columns: Iterable[str]) -> None:
        """Raise RecmtlError where a column of the log or a side table has the name of an event's."""
        taken = {name.casefold(): name for name in columns}
        for name, source in self.columns.items():
            if name.casefold() in taken:
                raise RecmtlError(
                    f"the log or a side table has a column {taken[name.casefold()]!r} already",
                    where=f"data.events.{source.name}", found=f"columns {', '.join(self.columns)}",
                    fix="name the source otherwise, or rename the column",
                )

    def seen(self, time: exp.Expr | None) -> exp.Expr:
        """The condition that an impression lay there at `as_of`."""
        if self.as_of is None or time is None:
            return exp.true()
        return expression("outcomes", "seen_by", _time=time, seen=exp.convert(self.as_of))

    def label(self, read: exp.Expr, columns: Iterable[str], time: exp.Expr | None) -> exp.Expr:
        """A label's expression over the log and the outcomes, null where it is not known yet."""
        owners = {name: self.columns[name] for name in columns if name in self.columns}
        if not owners:
            return read
        label: exp.Expr = read.transform(lambda part: _read(part, owners))
        label = expression("outcomes", "known_by_key", lost=self._lost(owners), read=label)
        youngest = self.youngest({source.name for source in owners.values()})
        if youngest is None or time is None:
            return label
        limit = exp.convert(youngest)
        return expression("outcomes", "known_by_age", _time=time, youngest=limit, read=label)

    def _lost(self, read: Mapping[str, EventLog]) -> exp.Expr:
        """The condition that what columns of sources tell of an impression cannot be known.

        It has no key, or what came of it has none to the next source. Whether anything came of it one
        event tells; sums and the first time are known only with all of them.
        """
        events = {source.name: source.event for source in self.sources}
        lost: list[exp.Expr] = []
        for name, source in read.items():
            table = f"event_{source.name}"
            first = events[chain(source.name, events)[-1]]
            keys = [value for value in self.keys if value.column in first.keys]
            lost += [value.read.is_(exp.null()) for value in keys]
            if source.event.of != IMPRESSION and name == source.name:
                place, flag = column("_row", table), column(name, table)
                lost.append(expression("outcomes", "lost_on_the_way", place=place, flag=flag))
            elif source.event.of != IMPRESSION:
                lost.append(expression("outcomes", "lost_in_part", not_all=column("_lost", table)))
        return exp.or_(*dict.fromkeys(lost))

    def joins(self, columns: Iterable[str]) -> dict[str, exp.Expr]:
        """The tables that these columns come from, and how they meet the rows of the log."""
        names = dict.fromkeys(f"event_{self.columns[c].name}" for c in columns if c in self.columns)
        return {
            name: exp.and_(
                column("_file", name).eq(column("_file", "sources")),
                column("_row", name).eq(column("_row", "log")),
            ) for name in names
        }

    def youngest(self, names: Iterable[str]) -> datetime | None:
        """The time of the youngest impressions of which these sources tell the last word."""
        if self.as_of is None:
            return None
        events = {source.name: source.event for source in self.sources}
        return self.as_of - timedelta(seconds=max(horizon(name, events) for name in names))


def _read(part: exp.Expr, owners: Mapping[str, EventLog]) -> exp.Expr:
    """A column of an event in place of one of the log."""
    if not isinstance(part, exp.Column) or part.name not in owners:
        return part
    source = owners[part.name]
    form = "null_where_none" if part.name == f"{source.name}_time" else "zero_where_none"
    return expression("outcomes", form, value=column(part.name, f"event_{source.name}"))
