"""Units of times since 1970: numbers go in; the unit in which they are times of our days comes out."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.labels import Expression
from recmtl.data.logs.plan import Plan
from recmtl.data.logs.table import Table, narrow
from recmtl.data.query import column, expression, statement
from recmtl.schema import Problem
from recmtl.schema.times import PER_SECOND

_LEAST, _MOST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1990, 2101))
_START = datetime(1970, 1, 1)


def better_unit(number: object) -> str:
    """The unit that makes a number a time from 1990 to 2100, in words; empty where none does."""
    if isinstance(number, int | float) and not isinstance(number, bool):
        for unit, each in PER_SECOND.items():
            if _LEAST * each <= number < _MOST * each:
                day = (_START + timedelta(seconds=number / each)).date()
                return f'unit = "{unit}" would make it a time of {day}'
    return ""


def unit_warnings(
    db: Database, problem: Problem, plan: Plan, times: Mapping[str, Iterable[str]]
) -> Iterator[str]:
    """Tables with times that another unit would make times of our days.

    `times` are days or times of impressions, called `log`, and of each source's events: where all are
    sensible nothing is read.
    """
    doubtful = {name for name, of in times.items() if not all("1990" <= time < "2101" for time in of)}
    source = problem.data.impressions
    if source.time and "log" in doubtful:
        yield from _warning(db, plan.log, source.time, source.unit, plan.where)
    for events in plan.events.sources:
        if f"events.{events.name}" in doubtful:
            table, event = events.table, events.event
            yield from _warning(db, table, event.time, event.unit, table.kept)
    for side, join in zip(plan.sides, problem.data.joins, strict=True):
        if join.valid_from:
            yield from _warning(db, side.table, join.valid_from, join.unit, side.table.kept)


def _warning(
    db: Database, table: Table, name: str, unit: str | None, where: Expression | None
) -> Iterator[str]:
    if unit is None:
        return
    each = PER_SECOND[unit]
    narrow(db, "timed", table.files)
    bad = expression(
        "conditions", "of_another_unit", least=exp.convert(_LEAST * each), most=exp.convert(_MOST * each),
    )
    ((rows, example, first),) = db.execute(statement(
        "bad", log=exp.to_table("timed"), checked=column(name, "timed"), bad=bad,
        condition=where.condition("timed") if where else exp.true(),
    )).fetchall()
    if rows and (better := better_unit(example)):
        file, row = first
        yield (
            f'{table.key}: the column {name!r} is no time from 1990 to 2100 with unit = "{unit}" in '
            f"{rows:,} rows, e.g. {example} in row {row} of {file}: {better}"
        )
