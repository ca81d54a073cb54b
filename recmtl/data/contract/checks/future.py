"""The future: impressions and events later than now, or so far beyond as_of that a clock is wrong."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from recmtl.data.contract.facts import Facts, on_days, percent, worst
from recmtl.data.contract.finding import Finding
from recmtl.data.day_files import UNDATED
from recmtl.schema.times import in_utc

NAME = "future"
GAP = timedelta(days=30)  # a log goes on after as_of day by day; rows behind such a gap are of a clock


def check(facts: Facts) -> Iterator[Finding]:
    later = facts.manifest.get("later", {})
    after, ahead = later.get("after_as_of", {}), later.get("ahead", {})
    yield from _findings(facts, "impressions", facts.rows + sum(after.values()), after, ahead)
    unread = sum(after.values()) - sum(_clocks(facts, after, ahead).values())
    if unread > 0:
        yield Finding(
            level="note", check=NAME, column="impressions", expected="none after as_of",
            found=f"{unread:,} rows come after as_of and are left out", fix="nothing, if as_of is past",
        )
    for name, days in facts.manifest.get("event_days", {}).items():
        counts = {
            what: {day: found[what] for day, found in days.items() if found.get(what)}
            for what in ("after_as_of", "ahead")
        }
        rows = sum(found["rows"] for found in days.values())
        yield from _findings(facts, name, rows, counts["after_as_of"], counts["ahead"])


def _findings(
    facts: Facts, column: str, rows: int, after: Mapping[str, int], ahead: Mapping[str, int]
) -> Iterator[Finding]:
    clocks = _clocks(facts, after, ahead)
    share = sum(clocks.values()) / rows if rows else 0.0
    level = facts.limits.future.level(share)
    if level is None:
        return
    left_out = facts.problem.data.as_of is not None
    what = f"later than now, or {GAP.days} days and more behind what comes after as_of" if left_out else (
        "later than now"
    )
    yield Finding(
        level=level, check=NAME, column=column, day=worst({d: float(n) for d, n in clocks.items()})[0],
        expected="times that have been",
        found=f"{sum(clocks.values()):,} of {rows:,} ({percent(share)}) are {what}"
              f"{', and are left out' * left_out}{on_days(dict.fromkeys(clocks, 0.0))}",
        fix="look at the clock that wrote them, at unit and zone; leave them out by where",
    )


def _clocks(facts: Facts, after: Mapping[str, int], ahead: Mapping[str, int]) -> dict[str, int]:
    """Rows by day that no clock that is right can have written yet, or that stand behind a gap."""
    found, as_of = dict(ahead), facts.problem.data.as_of
    if as_of is None:
        return found
    last = in_utc(as_of, facts.problem.data.impressions.zone).date()
    behind = False
    for day in sorted(day for day in after if day != UNDATED):
        this = date.fromisoformat(day)
        behind, last = behind or this - last > GAP, this
        if behind:
            found[day] = after[day]
    return found
