"""What is checked of side tables and days before a row is written: a plan goes in, days come out."""

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.day_files import UNDATED
from recmtl.data.logs.bad_values import check_times
from recmtl.data.logs.plan import Plan
from recmtl.data.logs.sides import Side, matches
from recmtl.data.logs.units import better_unit
from recmtl.data.query import column, statement, text, tree
from recmtl.errors import RecmtlError


class Held(NamedTuple):
    """What a file has of a day: how many rows, the first and the last of them, and their times."""

    rows: int
    first_row: int
    last_row: int
    first: str | None = None
    last: str | None = None


Days = dict[str, dict[str, Held]]  # file → day


def check_sides(db: Database, plan: Plan) -> None:
    """Refuse side tables with a key twice."""
    for side in plan.sides:
        _refuse_duplicates(db, side)


def unmatched(db: Database, plan: Plan, kept: exp.Expr) -> dict[str, int]:
    """How many of the rows `kept` find no row in a side table, by that table's key; none is left out."""
    counts = {}
    for side in plan.sides:
        ((rows,),) = db.execute(statement(
            "unmatched", side=exp.to_table(side.table.name), condition=kept,
            matches=matches(side), found=column("_path", side.table.name),
        )).fetchall()
        if rows:
            counts[side.table.where] = rows
    return counts


def unmatched_warnings(plan: Plan, counts: Mapping[str, int]) -> list[str]:
    """The same in words."""
    warnings = []
    for side in plan.sides:
        if counts.get(side.table.where):
            keys = ", ".join(right.column for _, right in side.keys)
            when = " that held at their time" if side.of_each_row else ""
            warnings.append(
                f"{side.table.where}: {counts[side.table.where]:,} impressions have no row for their "
                f"{keys}{when}; its columns are null there"
            )
    return warnings


def check_history(db: Database, side: Side) -> None:
    """Refuse a side table with rows of which nobody knows from when they hold."""
    if side.since is not None:
        check_times(db, side.since, f"{side.table.where}, valid_from")


def check_days(db: Database, plan: Plan) -> Days:
    """What each file has of which days. Raises RecmtlError for absurd ones."""
    day = exp.cast(plan.day if plan.day is not None else exp.null(), "DATE")
    time = exp.cast(plan.time if plan.time is not None else exp.null(), "TIMESTAMP")
    found = db.execute(statement("days", day=day, moment=time, condition=plan.meant)).fetchall()
    days: Days = {}
    for which, file, rows, first_row, last_row, *times in found:
        # DuckDB gives days beyond the year 9999 as text
        if which is not None and not (isinstance(which, date) and 1990 <= which.year <= 2100):
            raise _absurd(db, plan, which, [of for other, *of in found if other == which])
        days.setdefault(file, {})[str(which) if which else UNDATED] = Held(
            rows, first_row, last_row, *(None if time is None else str(time) for time in times)
        )
    return days


def _absurd(db: Database, plan: Plan, day: object, files: list[list[Any]]) -> RecmtlError:
    file, rows, first, *_ = files[0]
    name, example = "the day", None
    if plan.day is not None:
        checked = next(plan.day.find_all(exp.Column))
        place = {"_path": file, "_row": first}
        name, here = checked.name, exp.and_(*(column(n, "log").eq(at) for n, at in place.items()))
        ((_, example, _),) = db.execute(statement(
            "bad", log=exp.to_table("log"), checked=checked, condition=here, bad=exp.true()
        )).fetchall()
    of_time = plan.time is not None and next(plan.time.find_all(exp.Column)).name == name
    return RecmtlError(
        f"the log has impressions of {day}", where=plan.log.where, expected="days from 1990 to 2100",
        found=f"{rows:,} of them in {file}, in {len(files)} files in all; "
              f"the first: {name} = {example} in row {first}",
        fix=(better_unit(example) if of_time else "") or "check unit, time and day",
    )


def _refuse_duplicates(db: Database, side: Side) -> None:
    keys = [right.read for _, right in side.keys]
    whole = exp.and_(*(key.is_(exp.null()).not_() for key in keys))
    query = tree("duplicates", side=exp.to_table(side.table.name), whole=whole)
    assert isinstance(query, exp.Select)
    rows, names = query.expressions[0], [right.column for _, right in side.keys]
    if side.since is not None:
        keys, names = [*keys, column("_from")], [*names, side.since.column]
    found = db.execute(text(query.select(rows, *keys, append=False))).fetchmany(1000)
    if found:
        count = f"{len(found):,}" if len(found) < 1000 else "1,000 or more"
        several, *key = found[0]
        example = ", ".join(f"{name} = {value}" for name, value in zip(names, key, strict=True))
        raise RecmtlError(
            f"{count} keys stand there more than once", where=side.table.where,
            expected=f"one row a {', '.join(names)}", found=f"e.g. {example}, {several} rows",
            fix="keep one row a key, e.g. the newest" + (
                "" if side.since else ", or name the time from which a row holds: valid_from"
            ),
        )
