"""Shares of nulls, zeros and unknown values that jump from one day to the next."""

from collections.abc import Callable, Iterator, Mapping

from recmtl.data.contract.facts import Facts, differ, on_days, percent
from recmtl.data.contract.finding import Finding
from recmtl.data.contract.measured import Column

SHARES: Mapping[str, Callable[[Column], float | None]] = {
    "nulls": lambda column: column.nulls,
    "zeros": lambda column: column.zeros,
    "unknown": lambda column: column.unknown,
}


def check(facts: Facts) -> Iterator[Finding]:
    for column in facts.columns.features:
        for name, share in SHARES.items():
            yield from _jumps(facts, column, name, share)


def _jumps(
    facts: Facts, column: str, name: str, share: Callable[[Column], float | None]
) -> Iterator[Finding]:
    jumps: dict[str, tuple[float, float, float]] = {}
    for before, day in facts.steps():
        old, new = share(before.columns[column]), share(day.columns[column])
        if old is None or new is None or (name == "unknown" and new < old):
            continue  # that fewer values are unknown is what more days bring
        if not facts.columns.settled(column, before.name, day.name):
            continue
        rows = (before.columns[column].known, day.columns[column].known)
        of, among = rows if name != "nulls" else (before.rows, day.rows)
        if facts.limits.rates.level(abs(new - old)) and differ(old, of, new, among):
            jumps[day.name] = abs(new - old), old, new
    if not jumps:
        return
    worst = max(jumps, key=lambda day: jumps[day][0])
    jump, old, new = jumps[worst]
    level = facts.limits.rates.level(jump)
    assert level is not None
    yield Finding(
        level=level, check=name, column=column, day=worst,
        expected=f"about {percent(old)}, as on the day before",
        found=f"{percent(new)}{on_days(dict.fromkeys(jumps, 0.0))}",
        fix="look at what wrote the column on that day",
    )
