"""Events: what attribution counted of each source, without a cause or at the wrong time."""

from collections.abc import Iterator

from recmtl.data.contract.facts import Facts, percent
from recmtl.data.contract.finding import Finding
from recmtl.schema.events import IMPRESSION

NAME = "events"
_SAID = {  # what is counted → what was expected, what was found, what to do
    "nulls": ("a time, an id and keys in each", "lack one of them", "write them, or drop such events"),
    "repeated": ("each id once", "repeat an id", "nothing: each id counts once"),
    "orphans": ("{cause} for each", "are without {cause}", "look for missing logs, and at keys"),
    "before_cause": ("{cause} first", "come before {cause}", "look at clocks, units and zones"),
    "outside_window": ("a time in the window", "come after the window of {cause}", "make it longer?"),
    "after_as_of": ("none after as_of", "come after as_of", "look at clocks, if as_of is now"),
}


def check(facts: Facts) -> Iterator[Finding]:
    for name, counts in facts.manifest.get("events", {}).items():
        of, rows = facts.problem.data.events[name].of, counts["rows"]
        cause = "an impression" if of == IMPRESSION else f"a {of}"
        for what, (expected, said, fix) in _SAID.items():
            events = counts.get(what, 0)
            level = facts.limits.events.level(events / rows) if rows else None
            if what == "after_as_of" and level:
                level = "note"  # a past as_of leaves out what came since, by intent
            if level:
                yield Finding(
                    level=level, check=NAME, column=name, expected=expected.format(cause=cause),
                    found=f"{events:,} of {rows:,} ({percent(events / rows)}) {said.format(cause=cause)}",
                    fix=fix,
                )
