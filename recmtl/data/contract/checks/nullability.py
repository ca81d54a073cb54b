"""Nullability: keys without a value, columns that are empty or have their first nulls on some day."""

from collections.abc import Iterator

from recmtl.data.contract.facts import Facts, on_days, percent, worst
from recmtl.data.contract.finding import Finding

NAME = "nullability"


def check(facts: Facts) -> Iterator[Finding]:
    for key in facts.columns.keys:
        found = {day.name: day.columns[key].nulls for day in facts.days if day.columns[key].nulls > 0}
        if found:
            day, share = worst(found)
            yield Finding(
                level="warning", check=NAME, column=key, day=day, expected="a key in every row",
                found=f"null in {percent(share)} of the rows{on_days(found)}",
                fix="drop such rows with impressions.where, or write the key",
            )
    for column in facts.columns.features:
        yield from _empty(facts, column)
        yield from _first_nulls(facts, column)


def _empty(facts: Facts, column: str) -> Iterator[Finding]:
    begun = [day for day in facts.days if facts.columns.begun(column, day.name)]
    empty = [day.name for day in begun if day.columns[column].nulls == 1]
    if len(empty) == len(begun) == len(facts.days):
        yield Finding(
            level="warning", check=NAME, column=column, expected="a value somewhere",
            found="null in every row", fix="write the column, or drop the feature",
        )
    elif empty:
        yield Finding(
            level="warning", check=NAME, column=column, day=empty[0],
            expected="values, as on other days",
            found=f"null in every row{on_days(dict.fromkeys(empty, 1.0))}",
            fix="look at what wrote this day's log, or its side tables",
        )


def _first_nulls(facts: Facts, column: str) -> Iterator[Finding]:
    nulls = [day.columns[column].nulls for day in facts.days]
    first = next((place for place, share in enumerate(nulls) if share > 0), 0)
    if first and nulls[first] < 1:
        yield Finding(
            level="note", check=NAME, column=column, day=facts.days[first].name,
            expected=f"no nulls, as on {first} days before",
            found=f"null in {percent(nulls[first])} of the rows", fix="nothing, if it may be null",
        )
