"""Volume: days with far fewer or far more rows than the days before them."""

from collections.abc import Iterator
from math import sqrt
from statistics import median

from recmtl.data.contract.facts import SURE, Facts, on_days, worst
from recmtl.data.contract.finding import Finding
from recmtl.schema.times import day_in

NAME = "rows"
BEFORE = 3  # days, fewer of which have no usual number of rows


def check(facts: Facts) -> Iterator[Finding]:
    """The days before one are all of them: their median is not moved by a few that are odd themselves."""
    found, usual = dict[str, float](), dict[str, float]()
    rows, unfinished = [day.rows for day in facts.days], _unfinished(facts)
    for place, day in enumerate(facts.days[BEFORE:], start=BEFORE):
        expected = median(rows[:place])
        factor = max(day.rows, expected) / max(min(day.rows, expected), 1)
        if day.name == unfinished and day.rows < expected:
            continue
        beyond_chance = abs(day.rows - expected) > SURE * sqrt(day.rows + expected)
        if beyond_chance and facts.limits.rows.level(factor):
            found[day.name], usual[day.name] = factor, expected
    if not found:
        return
    name, factor = worst(found)
    level = facts.limits.rows.level(factor)
    assert level is not None
    there = next(day.rows for day in facts.days if day.name == name)
    said = "times as many" if there > usual[name] else "times fewer"
    yield Finding(
        level=level, check=NAME, day=name,
        expected=f"about {usual[name]:,.0f} rows, the median of the days before",
        found=f"{there:,} rows, {factor:.1f} {said}{on_days(found)}",
        fix="look whether all files of that day are there, once each, and whether the day is over",
    )


def _unfinished(facts: Facts) -> str | None:
    """The day of `as_of`, of which nobody expects all rows yet."""
    data = facts.problem.data
    return str(day_in(data.as_of, data.impressions.zone)) if data.as_of else None
