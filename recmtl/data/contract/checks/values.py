"""Values: columns that hold but one, and categorical ones that explode."""

from collections.abc import Iterator

from recmtl.data.contract.facts import Facts, on_days, worst
from recmtl.data.contract.finding import Finding

ENOUGH = 1000  # sampled values, below which shares of distinct ones say nothing
MANY = 50  # distinct values from which on a growth is one


def check(facts: Facts) -> Iterator[Finding]:
    for column, kind in facts.columns.features.items():
        yield from _constant(facts, column)
        if kind in ("ids", "lists"):
            yield from _distinct(facts, column) or _renewed(facts, column)
            yield from _growth(facts, column)


def _constant(facts: Facts, column: str) -> Iterator[Finding]:
    found = {day.name: day.columns[column].constant for day in facts.days if day.rows > 1}
    values = set(found.values())
    if found and values == {next(iter(values))} and None not in values:
        yield Finding(
            level="note", check="constant", column=column, expected="values that differ",
            found=f"{values.pop()!r} in every row that has a value",
            fix="drop the feature: it says nothing",
        )
        return
    days = [day for day, value in found.items() if value is not None]
    if days and 2 * len(days) < len(found):
        yield Finding(
            level="warning", check="constant", column=column, day=days[0],
            expected="values that differ, as on most days",
            found=f"{found[days[0]]!r} in every row{on_days(dict.fromkeys(days, 0.0))}",
            fix="look at what wrote the column on that day",
        )


def _distinct(facts: Facts, column: str) -> list[Finding]:
    if column == facts.problem.data.impressions.id:
        return []
    each = "an element" if facts.columns.features[column] == "lists" else "a row"
    shares = {}
    for day in facts.days:
        found = day.columns[column]
        if found.known >= ENOUGH and found.per_row and facts.limits.distinct.level(found.per_row):
            shares[day.name] = found.per_row
    return _exploding(facts, column, shares, f"distinct values {each}")


def _renewed(facts: Facts, column: str) -> list[Finding]:
    """Ids that come again on their day, and never after it."""
    if column == facts.problem.data.impressions.id:
        return []
    shares = {
        day.name: unknown for day in facts.days
        if (unknown := day.columns[column].unknown or 0.0)
        and day.columns[column].known >= ENOUGH and facts.limits.distinct.level(unknown)
    }
    return _exploding(facts, column, shares, "of its values were on no day before")


def _exploding(facts: Facts, column: str, shares: dict[str, float], said: str) -> list[Finding]:
    if not shares:
        return []
    day, share = worst(shares)
    level = facts.limits.distinct.level(share)
    assert level is not None
    return [Finding(
        level=level, check="distinct", column=column, day=day,
        expected="ids that come again", fix="drop the feature, cut its values, or use buckets",
        found=f"{share:.2f} {said}{on_days(shares)}",
    )]


def _growth(facts: Facts, column: str) -> Iterator[Finding]:
    grown = {}
    for before, day in facts.steps():
        old, new = before.columns[column], day.columns[column]
        alike = day.rows <= 1.5 * before.rows  # of more rows there are more values
        if alike and old.distinct and (new.distinct or 0) >= MANY:
            ratio = (new.distinct or 0) / old.distinct
            if facts.limits.growth.level(ratio):
                grown[day.name] = ratio
    if grown:
        day_name, ratio = worst(grown)
        level = facts.limits.growth.level(ratio)
        assert level is not None
        yield Finding(
            level=level, check="growth", column=column, day=day_name,
            expected="about as many distinct values as on the day before",
            found=f"{ratio:.1f} times as many{on_days(grown)}", fix="look at how the values are written",
        )
