"""Drift: features and labels whose distribution is far from the first day's or from the day before."""

from collections.abc import Iterator

from recmtl.data.contract.day import BEFORE, FIRST
from recmtl.data.contract.facts import Facts, on_days, worst
from recmtl.data.contract.finding import Finding

NAME = "drift"
_SAID = {FIRST: "the first day", BEFORE: "the day before"}


def check(facts: Facts) -> Iterator[Finding]:
    for column in facts.columns.measured:
        for which in (BEFORE, FIRST):
            yield from _far(facts, column, which)


def _far(facts: Facts, column: str, which: str) -> Iterator[Finding]:
    found = {}
    for place, day in enumerate(facts.days):
        if which == FIRST and place == 1:
            continue  # the first day is the day before
        index, chance = day.columns[column].drift.get(which, (0.0, 0.0))
        if index > chance and facts.limits.drift.level(index):
            found[day.name] = index
    if found:
        day_name, index = worst(found)
        level = facts.limits.drift.level(index)
        assert level is not None
        yield Finding(
            level=level, check=NAME, column=column, day=day_name,
            expected=f"about the distribution of {_SAID[which]}",
            found=f"population stability index {index:.3f}{on_days(found)}",
            fix="look at what wrote the column",
        )
