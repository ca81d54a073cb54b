"""Events credited to impressions: a plan goes in, a table `event_NAME` a source comes out, and counts.

Such a table has a row an impression that events of the source were credited to, by `_file` and `_row`,
with its day and the source's columns. Each event is credited once. The log's keys and times are read
once a source that follows impressions; the table `sources` numbers its files.
"""

from collections.abc import Iterable, Mapping

from sqlglot import exp

from recmtl.data.database import Answer, Database
from recmtl.data.events.outcomes import Events
from recmtl.data.events.sources import EventLog
from recmtl.data.events.tally import Counts, Tally, aside, beside, merged, tallied
from recmtl.data.logs.ahead import now
from recmtl.data.logs.plan import Plan
from recmtl.data.query import column, expression, statement, text, tree
from recmtl.schema.events import IMPRESSION

_END_OF_TIME = exp.cast(exp.Literal.string("9999-12-31 00:00:00"), "TIMESTAMP")


def attribute(db: Database, plan: Plan, zone: str | None) -> dict[str, Tally]:
    """Make the tables of all sources; what became of each source's events, by their day in `zone`."""
    counts = {}
    for source in plan.events.sources:
        db.execute(_causes(plan, source))
        found = _read_events(db, plan, source, zone)
        counts[source.name] = merged(found, _credit(db, source, zone))
        db.execute(_outcome(source))
    scratch = [_credited(name) for name in counts]
    for table in (*scratch, *map(exp.to_table, ("seen", "events", "placed", "matched"))):
        db.execute(statement("attribute_done", scratch=table))
    return counts


def event_warnings(events: Events, counts: Mapping[str, Counts]) -> list[str]:
    """What a person should know of the events as they were credited."""
    said = []
    if events.sources and events.as_of is None:
        said.append(
            "data.events: without as_of every window counts as closed, so that labels of the newest "
            "impressions may be 0 although their events are still to come"
        )
    for name, of_source in counts.items():
        said += [
            f"data.events.{name}: {rows:,} of {of_source['rows']:,} events have no "
            f"{what.removeprefix('null_')}; they add nothing to its sum"
            for what, rows in of_source.items() if what.startswith("null_") and rows
        ]
    return said


def _causes(plan: Plan, source: EventLog) -> str:
    """The statement that makes the view `causes`."""
    if any(source.event.of == other.name for other in plan.events.sources):
        return statement("attribute_chained", credited=_credited(source.event.of))
    assert plan.time is not None and plan.day is not None  # events are refused without
    view = tree(
        "attribute_impressions", moment=plan.time, condition=plan.kept, day=exp.cast(plan.day, "DATE")
    )
    _add(view.expression, {_key(value.column): value.read for value in plan.events.keys})
    return text(view)


def _read_events(db: Database, plan: Plan, source: EventLog, zone: str | None) -> Tally:
    """Make the table `events` of those that can be credited; count all, and those that cannot."""
    as_of = exp.convert(plan.events.as_of) if plan.events.as_of else _END_OF_TIME
    reads = {
        "source": exp.to_table(source.table.name), "whole": _whole(source), "moment": source.time,
        "as_of": as_of,
    }
    paths = list(source.table.files)
    db.execute(statement(
        "sources", sources=exp.to_table("files_of_events"), paths=exp.convert(paths),
        numbers=exp.convert([*range(len(paths))]),
    ))
    made = tree("attribute_events", seen=exp.to_table("seen" if source.id else "events"), **reads)
    own = [value for value in source.lent.values() if value is not None]
    columns = {_key(value.column): value.read for value in (*source.keys, *own)}
    columns |= {f"sum_{value.column}": value.read for value in source.sums}
    _add(made.expression, columns | ({"_id": source.id.read} if source.id else {}))
    db.execute(text(made))
    if source.id:
        db.execute(statement("attribute_once"))
    counts = tree(
        "attribute_counts", day=_day(source.time, zone), now=exp.convert(now()), **reads
    )
    missing = {f"null_{value.column}": value.read for value in source.sums}
    _add(counts, {n: expression("outcomes", "missing", value=read) for n, read in missing.items()})
    found = aside(tallied(db.execute(text(counts))), "ahead")
    return found if source.id else beside(found, tallied(_equal(db, zone, columns)))


def _equal(db: Database, zone: str | None, columns: Iterable[str]) -> Answer:
    """Events without an id that are equal in all that is read: each of them counts."""
    whole = exp.func("hash", *(column(name, "events") for name in ("_at", *columns)))
    return db.execute(statement("attribute_equal", day=_day(column("_at", "events"), zone), whole=whole))


def _credit(db: Database, source: EventLog, zone: str | None) -> Tally:
    """Make the table `credited_NAME` from `events` and `causes`; count what was credited and why not."""
    inherited = [_key(name) for name, value in source.lent.items() if value is None]
    _place(db, source, inherited)
    made = tree(
        "attribute_match", same_keys_first=_same_keys(source, "event", "earliest"),
        same_keys=_same_keys(source, "event", "cause"), length=_seconds(source.event.seconds),
        next=exp.convert(int(source.event.touch == "first")),
    )
    _add(made.expression, {name: column(name, "cause") for name in inherited})
    db.execute(text(made))
    credited = tree("attribute_credited", credited=_credited(source.name))
    _add(credited.expression, {name: column(name, "matched") for name in inherited})
    db.execute(text(credited))
    day = _day(column("_at", "events"), zone)
    return tallied(db.execute(statement("attribute_verdicts", day=day)))


def _place(db: Database, source: EventLog, inherited: Iterable[str]) -> None:
    """Make the table `placed`, with the keys and the columns that events inherit of their causes."""
    keys = [_key(key.column) for key in source.keys]
    made = tree(
        "attribute_placed", same_keys=_same_keys(source, "events", "causes"),
        back=_seconds(source.event.seconds if source.event.touch == "first" else 0),
    )
    for window in made.find_all(exp.Window):
        window.set("partition_by", [column(key) for key in keys])
    for both in made.find_all(exp.Union):
        _add(both.left, {name: column(name, "causes") for name in (*keys, *inherited)})
        _add(both.right, {key: column(key, "events") for key in keys})
        _add(both.right, {name: exp.null() for name in inherited})
    db.execute(text(made))


def _outcome(source: EventLog) -> str:
    of = source.event.of
    given = _credited(source.name) if of == IMPRESSION else _with_lost(source, of)
    made = tree("attribute_outcome", outcome=exp.to_table(f"event_{source.name}"), given=given)
    flag, time, *sums = source.event.columns(source.name)
    columns: dict[str, exp.Expr] = {
        flag: exp.cast(expression("outcomes", "credited"), "TINYINT"), time: exp.Min(this=column("_at")),
    }
    columns |= {n: expression("outcomes", "total", value=column(f"sum_{n}")) for n in sums}
    columns["_lost"] = exp.false() if of == IMPRESSION else expression("outcomes", "some_lost")
    _add(made.expression, columns)
    return text(made)


def _with_lost(source: EventLog, of: str) -> exp.Expr:
    """Credited events, and a row for each cause of which it cannot be known what came."""
    keyless = exp.or_(*(column(_key(k.column), "causes").is_(exp.null()) for k in source.keys))
    made = tree(
        "attribute_lost", credited=_credited(source.name), keyless=keyless,
        before=exp.to_table(f"event_{of}"),
    )
    names = [f"sum_{value.column}" for value in source.sums]
    for select in made.find_all(exp.Select):
        credited = select.find(exp.Table) == _credited(source.name)
        _add(select, {name: column(name) if credited else exp.null() for name in names})
    assert isinstance(made, exp.Union)
    return made.subquery("given")


def _whole(source: EventLog) -> exp.Expr:
    """Nothing is lacking that crediting needs."""
    needed = [source.time, *(key.read for key in source.keys), *([source.id.read] if source.id else [])]
    return exp.paren(exp.and_(*(part.is_(exp.null()).not_() for part in needed)))


def _same_keys(source: EventLog, left: str, right: str) -> exp.Expr:
    return exp.and_(*(
        exp.EQ(this=column(name, left), expression=column(name, right))
        for name in (_key(key.column) for key in source.keys)
    ))


def _seconds(number: int) -> exp.Expr:
    return exp.Interval(this=exp.convert(str(number)), unit=exp.var("SECOND"))


def _key(name: str) -> str:
    return f"key_{name}"


def _credited(name: str) -> exp.Table:
    return exp.to_table(f"credited_{name}")


def _add(select: exp.Expr, columns: Mapping[str, exp.Expr]) -> None:
    assert isinstance(select, exp.Select)
    for name, read in columns.items():
        select.select(exp.alias_(read, name, quoted=True), copy=False)


def _day(time: exp.Expr, zone: str | None) -> exp.Expr:
    return expression("values", "day_of_time", value=time, zone=exp.convert(zone or "UTC"))
