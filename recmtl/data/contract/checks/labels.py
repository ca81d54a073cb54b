"""Labels: rates that jump from one day to the next, and labels without both classes."""

from collections.abc import Iterator

from recmtl.data.contract.day import Day
from recmtl.data.contract.facts import Facts, differ, on_days, percent
from recmtl.data.contract.finding import Finding

NAME = "labels"


def check(facts: Facts) -> Iterator[Finding]:
    for label in facts.problem.labels:
        counts = [rate(day, label) for day in facts.days]
        known, positives = sum(k for _, k in counts), sum(p for p, _ in counts)
        if known == 0 or positives in (0, known):
            what = "null" if known == 0 else "0" if positives == 0 else "above 0"
            yield Finding(
                level="warning", check=NAME, column=label, expected="rows that differ",
                found=f"{what} in every row", fix=f"check the expression of labels.{label}",
            )
        yield from _jumps(facts, label)


def rate(day: Day, label: str) -> tuple[int, int]:
    """Rows above 0, and rows that are known."""
    found = day.labels[label]
    return found["positives"], day.rows - found["nulls"]


def _jumps(facts: Facts, label: str) -> Iterator[Finding]:
    jumps: dict[str, tuple[float, float, float]] = {}
    for before, day in facts.steps():
        (hits, of), (new_hits, among) = rate(before, label), rate(day, label)
        if not of or not among or not (hits or new_hits):
            continue
        old, new = hits / of, new_hits / among
        change = max(old, new) / max(min(old, new), 1 / (of + among)) - 1
        if facts.limits.labels.level(change) and differ(old, of, new, among):
            jumps[day.name] = change, old, new
    if jumps:
        worst = max(jumps, key=lambda day: jumps[day][0])
        change, old, new = jumps[worst]
        level = facts.limits.labels.level(change)
        assert level is not None
        yield Finding(
            level=level, check=NAME, column=label, day=worst,
            expected=f"a rate of about {percent(old)}, as on the day before",
            found=f"{percent(new)}{on_days(dict.fromkeys(jumps, 0.0))}",
            fix="look at what the label reads on that day: is the log complete, is the traffic the same?",
        )
