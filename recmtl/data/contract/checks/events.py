"""Events: what attribution counted of each source, without a cause or at the wrong time."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from recmtl.data.contract.facts import Facts, on_days, percent, worst
from recmtl.data.contract.finding import LEVELS, Finding
from recmtl.data.day_files import UNDATED
from recmtl.schema.contract import Level
from recmtl.schema.events import IMPRESSION, horizon

NAME, DAY = "events", timedelta(days=1)
_SAID = {  # what is counted → what was expected, what was found, what to do
    "nulls": ("a time, an id and keys in each", "lack one of them", "write them, or drop such events"),
    "repeated": ("each id once", "repeat an id", "nothing: each id counts once"),
    "equal": ("each once", "are equal to another one, and count", "name an id, or write each once"),
    "orphans": ("{cause} for each", "are without {cause}", "look for missing logs, and at keys"),
    "before_cause": ("{cause} first", "come before {cause}", "look at clocks, units and zones"),
    "outside_window": ("a time in the window", "come after the window of {cause}", "make it longer?"),
    "after_as_of": ("none after as_of", "come after as_of", "look at clocks, if as_of is now"),
}


ENOUGH = 100  # events of a day, below which a share says nothing


def check(facts: Facts) -> Iterator[Finding]:
    for name, counts in facts.manifest.get("events", {}).items():
        of = facts.problem.data.events[name].of
        cause = "an impression" if of == IMPRESSION else f"a {of}"
        for what, (expected, said, fix) in _SAID.items():
            level, day, found = _gravest(facts, name, what, counts)
            if what == "after_as_of" and level:
                level = "note"  # a past as_of leaves out what came since, by intent
            if level:
                yield Finding(
                    level=level, check=NAME, column=name, day=day,
                    expected=expected.format(cause=cause), found=found.format(said.format(cause=cause)),
                    fix=fix,
                )


def _gravest(
    facts: Facts, name: str, what: str, counts: Mapping[str, int]
) -> tuple[Level | None, str | None, str]:
    """The level of all events, or of the worst day where that is graver, with the day and the words."""

    def said(part: Mapping[str, int]) -> str:
        events, rows = part.get(what, 0), part["rows"]
        return f"{events:,} of {rows:,} ({percent(events / rows)})" if rows else ""

    limits = facts.limits.events
    shares = {day: part.get(what, 0) / part["rows"] for day, part in _whole_days(facts, name).items()}
    reached = {day: share for day, share in shares.items() if limits.level(share)}
    level = limits.level(counts.get(what, 0) / counts["rows"]) if counts["rows"] else None
    day, share = worst(reached) if reached else (None, 0.0)
    graver = limits.level(share)
    if day and graver and (level is None or LEVELS.index(graver) < LEVELS.index(level)):
        part = facts.manifest["event_days"][name][day]
        return graver, day, f"{said(part)} {{}}{on_days(reached)}"
    return level, day, f"{said(counts)} {{}}"


def _whole_days(facts: Facts, name: str) -> dict[str, Mapping[str, int]]:
    """The days with enough events whose causes the log can have: those of the first days come of
    impressions before the log, and after its last day stragglers alone come."""
    dated = [day.name for day in facts.days if day.name != UNDATED]
    if not dated:
        return {}
    wait = timedelta(seconds=horizon(name, facts.problem.data.events))
    first = str(date.fromisoformat(min(dated)) + max(-(-wait // DAY), 1) * DAY)
    tally = facts.manifest.get("event_days", {}).get(name, {})
    return {
        day: part for day, part in tally.items()
        if day != UNDATED and first <= day <= max(dated) and part["rows"] >= ENOUGH
    }
