"""Impressions later than a moment: what files are known to hold goes in, rows by day come out.

The moment is `as_of`, after which nothing is seen, or now: what comes later than that is no time.
"""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.day_files import UNDATED
from recmtl.data.logs.checks import Days, Held
from recmtl.data.logs.plan import Plan
from recmtl.data.logs.table import narrow
from recmtl.data.query import statement

SKEW = timedelta(minutes=5)  # by which clocks of different machines may differ


def now() -> datetime:
    """The last moment that can have been, in UTC as all times are."""
    return datetime.now(UTC).replace(tzinfo=None) + SKEW


def rows_after(db: Database, plan: Plan, held: Days, moment: datetime) -> dict[str, int]:
    """By day, as `held` by the files; only files of which some rows of a day are later are read."""
    found: Counter[str] = Counter()
    partly: dict[str, set[str]] = {}
    for file, days in held.items():
        for day, part in days.items():
            if _all_later(day, part, moment):
                found[day] += part.rows
            elif part.last is not None and _time(part.last) > moment:
                partly.setdefault(file, set()).add(day)
    if partly and plan.time is not None and plan.day is not None:
        narrow(db, "log", partly)
        later = exp.and_(plan.meant, exp.GT(this=plan.time, expression=exp.convert(moment)))
        on, at = exp.cast(plan.day, "DATE"), exp.cast(plan.time, "TIMESTAMP")
        query = statement("days", day=on, moment=at, condition=later)
        for which, file, rows, *_ in db.execute(query).fetchall():
            found[str(which)] += rows if str(which) in partly[file] else 0
        narrow(db, "log", plan.log.files)
    return {day: found[day] for day in sorted(found) if found[day]}


def _all_later(day: str, part: Held, moment: datetime) -> bool:
    """Of rows without a time the day decides; it has begun a little earlier in the east."""
    if part.first is not None:
        return _time(part.first) > moment
    return day != UNDATED and date.fromisoformat(day) > (moment + timedelta(hours=14)).date()


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # beyond the year 9999
        return datetime.max
