"""Rows that are there more than once: of the same id or keys and time, or equal in every column."""

from collections.abc import Iterator

from recmtl.data.contract.facts import Facts, percent
from recmtl.data.contract.finding import Finding

NAME = "duplicates"


def check(facts: Facts) -> Iterator[Finding]:
    equal = sum(day.equal or 0 for day in facts.days)
    repeated = sum(day.repeated or 0 for day in facts.days)
    if equal:
        yield from _finding(facts, equal, "equal to another row in every column", "")
    if repeated > equal:
        same = ", ".join(facts.identity)
        about = " (estimated)" if any(day.equal is None for day in facts.days) else ""
        yield from _finding(facts, repeated, f"of the same {same} as another row{about}", same)


def _finding(facts: Facts, rows: int, what: str, column: str) -> Iterator[Finding]:
    level = facts.limits.duplicates.level(rows / facts.rows)
    if level is None:
        return
    source = facts.problem.data.impressions
    fix = 'set impressions.duplicates = "drop"'
    if column and not source.id:
        fix = "name impressions.id: rows that differ somewhere are not dropped"
    if source.duplicates == "drop":
        level, fix = "note", "nothing: they are dropped"
    elif not (source.id or source.time):  # rows of a table may well be alike
        level, fix = "note", "nothing, or name impressions.id"
    yield Finding(
        level=level, check=NAME, column=column or None, expected="each impression once",
        found=f"{rows:,} rows ({percent(rows / facts.rows)}) {what}", fix=fix,
    )

