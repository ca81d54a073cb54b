"""Rows that are there more than once: of the same id or keys and time, or equal in every column."""

from collections.abc import Iterator, Mapping

from recmtl.data.contract.facts import Facts, on_days, percent, worst
from recmtl.data.contract.finding import Finding

NAME = "duplicates"
Rows = Mapping[str, int]  # by day


def check(facts: Facts) -> Iterator[Finding]:
    source, same = facts.problem.data.impressions, ", ".join(facts.identity)
    drop = source.duplicates == "drop"
    equal = {day.name: day.equal or 0 for day in facts.days}
    repeated = {day.name: day.repeated or 0 for day in facts.days}
    yield from _finding(facts, equal, "equal to another row in every column", "", drop)
    others = sum(repeated.values()) - sum(equal.values())
    if others and drop and not source.id:
        yield from _that_differ(facts, repeated, same)
    elif others:
        about = " (estimated)" if any(day.equal is None for day in facts.days) else ""
        yield from _finding(facts, repeated, f"of the same {same} as another row{about}", same, drop)
    if source.id:
        again = {day.name: day.again for day in facts.days}
        yield from _finding(facts, again, f"of the same {same} as a row of an earlier day", same, drop)


def _that_differ(facts: Facts, repeated: Rows, same: str) -> Iterator[Finding]:
    """Rows that equal another one are dropped, and those of the same keys and time alone are not. In a
    large log nobody read which is which, but ingest knows how many it dropped."""
    dropped = facts.manifest.get("dropped", {}).get("repeated", 0)
    differ = {day.name: repeated[day.name] - (day.equal or 0) for day in facts.days}
    if any(day.equal is None for day in facts.days):
        left = max(1 - dropped / sum(repeated.values()), 0.0)
        differ = {day: round(rows * left) for day, rows in repeated.items()}
    what = f"of the same {same} as another row, from which they differ elsewhere, and are kept"
    yield from _finding(facts, differ, what, same, False)


def _finding(facts: Facts, by_day: Rows, what: str, column: str, dropped: bool) -> Iterator[Finding]:
    rows, source = sum(by_day.values()), facts.problem.data.impressions
    level = facts.limits.duplicates.level(rows / facts.rows) if rows else None
    if level is None:
        return
    fix = 'set impressions.duplicates = "drop"'
    if column and not source.id:
        fix = "name impressions.id: rows that differ somewhere are not dropped"
    if dropped:
        level, fix = "note", "nothing: they are dropped"
    elif not (source.id or source.time):  # rows of a table may well be alike
        level, fix = "note", "nothing, or name impressions.id"
    day, _ = worst({name: float(count) for name, count in by_day.items()})
    there = {name: 0.0 for name, count in by_day.items() if count}
    yield Finding(
        level=level, check=NAME, column=column or None, day=None if day == "undated" else day,
        expected="each impression once", fix=fix,
        found=f"{rows:,} rows ({percent(rows / facts.rows)}) {what}{on_days(there)}",
    )
