"""What became of a source's events: rows that SQL counted go in, counts of each day come out.

The parts of a day add up to its `rows`; those `equal` or `ahead` are among them. An event without a
time is on the day UNDATED.
"""

from collections import Counter
from collections.abc import Mapping

from recmtl.data.database import Answer
from recmtl.data.day_files import UNDATED

Counts = dict[str, int]
Tally = dict[str, Counts]  # day → what was counted
MOST_DAYS = 4096  # that are told apart: more of them are clocks that went wrong


def tallied(found: Answer) -> Tally:
    """Counts by day, from rows whose first column is the day."""
    _, *names = [name for name, *_ in found.description]
    none = dict.fromkeys(names, 0)
    days = {day or UNDATED: dict(zip(names, counts, strict=True)) for day, *counts in found.fetchall()}
    return days or {UNDATED: none}


def beside(tally: Tally, more: Tally) -> Tally:
    """The same with what else was counted, where there is any of it: no part of the sum."""
    return {
        day: {**counts, **{name: rows for name, rows in more.get(day, {}).items() if rows}}
        for day, counts in tally.items()
    }


def aside(tally: Tally, name: str) -> Tally:
    """The same where that is no part of the sum and named only where there is any."""
    return {d: {n: c for n, c in counts.items() if n != name or c} for d, counts in tally.items()}


def merged(read: Tally, verdicts: Tally) -> Tally:
    """All that was read of each day, and what became of it; what has no verdict was repeated."""
    headings = dict.fromkeys(name for counts in verdicts.values() for name in counts)
    days = {}
    for day, counts in read.items():
        given = verdicts.get(day, dict.fromkeys(headings, 0))
        usable = counts["rows"] - counts["nulls"] - counts["after_as_of"]
        days[day] = {**counts, "repeated": usable - sum(given.values()), **given}
    return days


def total(tally: Tally) -> Counts:
    """The sums over all days."""
    found: Counter[str] = Counter()
    for counts in tally.values():
        found.update(counts)
    names = dict.fromkeys(name for counts in tally.values() for name in counts)
    return {name: found[name] for name in names}


def days_of(tally: Mapping[str, Counts]) -> Tally:
    """The days as a manifest keeps them: in their order, those with most events where there are many."""
    most = sorted(tally, key=lambda day: -tally[day]["rows"])[:MOST_DAYS]
    return {day: dict(tally[day]) for day in sorted(most)}
