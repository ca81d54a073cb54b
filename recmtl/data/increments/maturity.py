"""What is known of a day: `as_of`, the day's first and last time go in, states to compare come out."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from recmtl.schema.events import Event, horizon

ALL, NONE = "all", "none"


def known_of_day(
    as_of: datetime | None, events: Mapping[str, Event], first: str, last: str
) -> dict[str, str]:
    """For the impressions, and for each source of events: of all, of none, or of those until when.

    Equal states of a day give equal labels, whatever `as_of` was.
    """
    waits = {"impressions": 0} | {name: horizon(name, events) for name in events}
    return {
        name: _state(as_of and as_of - timedelta(seconds=wait), first, last)
        for name, wait in waits.items()
    }


def _state(until: datetime | None, first: str, last: str) -> str:
    if until is None or until >= datetime.fromisoformat(last):
        return ALL
    return NONE if until < datetime.fromisoformat(first) else str(until)
