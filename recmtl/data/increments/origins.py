"""What each day is made from: files, side tables, credited events, how much was known; as digests."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.day_files import UNDATED
from recmtl.data.events.outcomes import Events
from recmtl.data.increments.days import Origins
from recmtl.data.increments.files import FileRecord
from recmtl.data.increments.maturity import NONE, known_of_day
from recmtl.data.logs.plan import Plan
from recmtl.data.query import statement
from recmtl.folder import digest


@dataclass(frozen=True)
class Digests:
    """Of what is not in the log's files: settings and types, side tables, credited events by day."""

    shape: str
    joins: Mapping[str, str]
    credited: Mapping[str, Mapping[str, str]]
    repeated: Mapping[str, tuple[int, str]]  # rows of a day that fall away, and which

    @classmethod
    def make(
        cls, db: Database, plan: Plan, shape: str,
        inputs: Mapping[str, Sequence[FileRecord]],
    ) -> "Digests":
        """Read the tables `event_NAME` of `attribute`, and `repeated`."""
        joins = {}
        for number, side in enumerate(plan.sides):
            files = [file.digest for file in inputs[f"joins[{number}]"]]
            one_time = side.at is not None and not side.of_each_row
            joins[f"joins[{number}]"] = digest([*files, str(plan.events.as_of)] if one_time else files)
        credited: dict[str, dict[str, str]] = {}
        for source in plan.events.sources:
            table = exp.to_table(f"event_{source.name}")
            for day, rows, values in db.execute(statement("outcome_digest", outcome=table)).fetchall():
                credited.setdefault(str(day), {})[source.name] = f"{rows} {values:x}"
        read = db.execute(statement("repeated_digest")).fetchall() if plan.repeats else []
        repeated = {day or UNDATED: (rows, f"{rows} {values:x}") for day, rows, values in read}
        return cls(shape, joins, credited, repeated)


def origins_of(
    events: Events, sources: Sequence[FileRecord], digests: Digests, unseen: Mapping[str, int]
) -> Origins:
    """The days that the log has at `as_of`, each with all that its examples depend on.

    `unseen` are the rows of a day that are later; a day of which all rows fall away is none.
    """
    files: dict[str, dict[str, str]] = {}
    times: dict[str, list[str]] = {}
    rows: Counter[str] = Counter()
    for place, source in enumerate(sources):
        for day, held in (source.days or {}).items():
            files.setdefault(day, {})[str(place)] = source.digest
            rows[day] += held.rows
            times.setdefault(day, []).extend(time for time in (held.first, held.last) if time)
    origins: dict[str, dict[str, Any]] = {}
    for day, of_day in files.items():
        known = _known(events, times[day])
        repeated, which = digests.repeated.get(day, (0, ""))
        left = rows[day] - repeated - unseen.get(day, 0)
        if known.get("impressions") != NONE and (left or not repeated):
            origins[day] = {
                "settings": digests.shape, "files": of_day, "joins": dict(digests.joins),
                "credited": dict(digests.credited.get(day, {})), "known": known,
                "repeated": {"rows": which} if which else {},
            }
    return origins


def _known(events: Events, times: Sequence[str]) -> dict[str, str]:
    if not times:
        return {}
    sources = {source.name: source.event for source in events.sources}
    return known_of_day(events.as_of, sources, min(times), max(times))
