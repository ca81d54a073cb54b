"""One run of ingest: what it is given and what stands there go in, the folder made anew comes out.

Days that are what they should be are linked from the folder that stood there; the others are written.
"""

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.day_files import day_files, day_folder
from recmtl.data.duck import engine_errors
from recmtl.data.events.attribution import attribute
from recmtl.data.events.tally import days_of, total
from recmtl.data.increments.account import report, warnings
from recmtl.data.increments.days import Origins, Window, Work, plan_work, refuse_mixture
from recmtl.data.increments.files import FileRecord, number, take_all
from recmtl.data.increments.known import Known, Listing
from recmtl.data.increments.origins import Digests, origins_of
from recmtl.data.logs.ahead import now, rows_after
from recmtl.data.logs.bad_values import check_values
from recmtl.data.logs.checks import (
    check_days,
    check_history,
    check_sides,
    unmatched,
)
from recmtl.data.logs.plan import Plan, make_plan
from recmtl.data.logs.repeats import drop_repeats
from recmtl.data.logs.results import counts, null_warnings
from recmtl.data.logs.side_by_side import writing
from recmtl.data.logs.sides import hold
from recmtl.data.logs.table import in_folders, naming_damage, narrow
from recmtl.data.logs.units import unit_warnings
from recmtl.data.logs.view import examples_view
from recmtl.data.logs.write import SIZE, link_day, of_day, pieces
from recmtl.data.query import statement
from recmtl.errors import RecmtlError
from recmtl.folder import digest, write_folder
from recmtl.progress import Progress
from recmtl.schema import Problem

_log = logging.getLogger("recmtl")


@dataclass(frozen=True)
class Order:
    """What a run is given: a problem and the digest of its settings, the folder and what stands there,
    the files that lie there, and the days that may be written."""

    problem: Problem
    settings: str
    out: Path
    known: Known
    listing: Listing
    window: Window


def renew(db: Database, order: Order, progress: Progress) -> None:
    """Make the folder anew. Raises RecmtlError for input that cannot be used; nothing changes then."""
    problem = order.problem
    listed = {key: tuple(states) for key, states in order.listing.inputs.items()}
    plan = make_plan(db, problem, tuple(order.listing.log), listed)
    shape = _shape(plan, order.settings)
    with naming_damage(db, plan.files):
        sources = _read_log(db, plan, order, shape)
        inputs = _read_inputs(db, plan, order)
        plan, repeated = drop_repeats(db, plan, problem.data)
        manifest: dict[str, Any] = {
            "key": "", "settings": order.settings, "shape": shape, "as_of": problem.data.as_of,
            "sources": [source.to_json() for source in sources],
            "inputs": {name: [file.to_json() for file in files] for name, files in inputs.items()},
            "features": {n: f.model_dump(mode="json") for n, f in plan.features.items()},
            "zone": problem.data.impressions.zone,
            "dropped": {"where": sum(source.left_out for source in sources), "repeated": repeated},
        }
        manifest["later"] = _later(db, plan, sources)
        manifest["dropped"]["after_as_of"] = sum(manifest["later"]["after_as_of"].values())
        events = attribute(db, plan, problem.data.impressions.zone)
        manifest["events"] = {name: total(tally) for name, tally in events.items()}
        left_out = _left_out(plan, manifest["events"], inputs)
        manifest["dropped"] |= {"events": left_out} if left_out else {}
        manifest["event_days"] = {name: days_of(tally) for name, tally in events.items()}
        unseen = manifest["later"]["after_as_of"]
        now = origins_of(plan.events, sources, Digests.make(db, plan, shape, inputs), unseen)
    names = {str(place): in_folders(source.path) for place, source in enumerate(sources)}
    work = plan_work(now, order.known.origins, order.window, names)
    refuse_mixture(work, now, order.known.origins)
    if not work.write and not work.link:
        raise _no_rows(plan, order.window, sources, sorted(now))
    if outside := order.window.misses({*now, *order.known.origins}):
        _log.warning("warning: %s", outside)
    _make_folder(db, plan, order, manifest, work, now, progress)


def _shape(plan: Plan, settings: str) -> str:
    """What decides on the columns of every day, whatever rows it has."""
    kinds = {value.column: value.kind for value in plan.values}
    features = {name: feature.model_dump(mode="json") for name, feature in plan.features.items()}
    return digest([settings, kinds, features])


def _read_log(
    db: Database, plan: Plan, order: Order, shape: str
) -> list[FileRecord]:
    """The log's files and what each gives; those that are known under this shape are not read."""
    sources = number(order.listing.log, order.known.sources)
    places = {source.path: place for place, source in enumerate(sources) if not source.removed}
    db.execute(statement(
        "sources", numbers=exp.convert([*places.values()]), paths=exp.convert([*places])
    ))
    same = order.known.manifest.get("shape") == shape
    fresh = [s.path for s in sources if s.path in places and not (same and s.days is not None)]
    narrow(db, "log", fresh or plan.log.files[:1])  # side tables and events are checked in any case
    check_values(db, plan)
    days = check_days(db, plan) if fresh else {}
    narrow(db, "log", plan.log.files)
    rows = _rows(db, fresh)
    return [
        replace(s, rows=rows[s.path], days=days.get(s.path, {})) if s.path in rows else s
        for s in sources
    ]


def _later(db: Database, plan: Plan, sources: Sequence[FileRecord]) -> dict[str, dict[str, int]]:
    """Impressions by day that are not seen at `as_of`, and those that are later than now."""
    held = {source.path: dict(source.days) for source in sources if source.days}
    as_of = plan.events.as_of
    return {
        "after_as_of": rows_after(db, plan, held, as_of) if as_of else {},
        "ahead": rows_after(db, plan, held, now()),
    }


def _read_inputs(
    db: Database, plan: Plan, order: Order
) -> dict[str, list[FileRecord]]:
    """The other files, side tables checked."""
    for side in plan.sides:
        if side.since is not None:
            check_history(db, side)
            hold(db, side, [v.column for v in plan.values if v.table == side.table.name])
    check_sides(db, plan)
    inputs = {}
    for name, states in order.listing.inputs.items():
        rows = _rows(db, states)
        files = take_all(states, order.known.inputs.get(name, []))
        inputs[name] = [replace(file, rows=rows[file.path]) for file in files]
    return inputs


def _left_out(
    plan: Plan, events: Mapping[str, Mapping[str, int]], inputs: Mapping[str, Sequence[FileRecord]]
) -> dict[str, int]:
    """Rows of each source that are no events, as its `where` does not keep them."""
    return {
        source.name: sum(file.rows for file in inputs[f"events.{source.name}"])
        - events[source.name]["rows"]
        for source in plan.events.sources if source.table.kept
    }


def _rows(db: Database, files: Iterable[str]) -> dict[str, int]:
    paths = list(files)
    return dict(db.execute(statement("file_rows", paths=exp.convert(paths))).fetchall()) if paths else {}


def _make_folder(
    db: Database, plan: Plan, order: Order, manifest: dict[str, Any], work: Work,
    now: Origins, progress: Progress,
) -> None:
    sources = [FileRecord.of(source) for source in manifest["sources"]]
    db.execute(examples_view(plan))
    described = db.execute("DESCRIBE SELECT * EXCLUDE (_day) FROM examples").fetchall()
    made_from = {d: now[d] for d in work.write} | {d: order.known.origins[d] for d in work.link}
    files = {place: Path(source.path).name for place, source in enumerate(sources) if source.days}
    manifest |= {
        "key": digest([manifest["shape"], files, made_from]),
        "columns": {name: kind for name, kind, *_ in described},
        "made_from": dict(sorted(made_from.items())), "stale": work.stale,
    }
    with write_folder(order.out, manifest) as folder, engine_errors(order.out):
        for day in work.link:
            link_day(day, order.out, folder)
        with naming_damage(db, plan.files):
            days = _write_days(db, plan, order, work, sources, folder, progress)
        days |= {day: order.known.manifest["days"][day] for day in work.link}
        manifest["days"] = dict(sorted(days.items()))
        manifest["warnings"] = warnings(order.problem, plan, manifest)
        written = [file for day in manifest["days"] for file in day_files(folder, day)]
        manifest["warnings"] += null_warnings(db, plan, order.problem.data, written)
        manifest["warnings"] += unit_warnings(db, order.problem, plan, _times(manifest, sources))
        order.listing.refuse_changes()
    report(work, days)


def _times(manifest: Mapping[str, Any], sources: Sequence[FileRecord]) -> dict[str, list[str]]:
    """The least and greatest times of the log, and the days of each source's events.

    Events whose time lies beyond the calendar in the unit given have no day, which is no sensible one.
    """
    ends = [(h.first, h.last) for source in sources for h in (source.days or {}).values()]
    events = {f"events.{name}": [*days] for name, days in manifest["event_days"].items()}
    return {"log": [time for both in ends for time in both if time]} | events


def _write_days(
    db: Database, plan: Plan, order: Order, work: Work, sources: Sequence[FileRecord], folder: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Each written day's rows, labels, and rows without one in a side table."""
    held = {day: {s.path: s.days[day] for s in sources if s.days and day in s.days} for day in work.write}
    side_rows = sum(sum(_rows(db, side.table.files).values()) for side in plan.sides)
    size = sys.maxsize if order.problem.data.engine == "spark" else max(SIZE, side_rows)
    parts = {day: pieces(day, held[day], day_folder(folder, day), size) for day in work.write}
    days = {}
    with (
        progress.track(sum(h.rows for of in held.values() for h in of.values()), "ingest") as advance,
        writing(db, plan, side_rows) as write,
    ):
        for day in work.write:
            day_folder(folder, day).mkdir()
        written = write([piece for day in work.write for piece in parts[day]])
        for day in work.write:
            for _ in parts[day]:
                next(written)
            narrow(db, "log", held[day])
            days[day] = counts(db, plan, day_files(folder, day))
            strangers = unmatched(db, plan, of_day(plan, day))
            days[day] |= {"unmatched": strangers} if strangers else {}
            advance(days[day]["rows"])
    return days


def _no_rows(
    plan: Plan, window: Window, sources: Sequence[FileRecord], days: Sequence[str]
) -> RecmtlError:
    first = min((h.first for s in sources for h in (s.days or {}).values() if h.first), default=None)
    as_of = plan.events.as_of
    if as_of and first and not days:
        return RecmtlError(
            "lies before the log begins", where="as_of", found=f"{as_of} in UTC",
            expected=f"{first} or later, when the first impression was shown",
            fix="give a later time, or none: then all that lies there is known",
        )
    if outside := window.misses(days):
        return RecmtlError("no rows to keep", where="--from, --to", found=outside)
    return RecmtlError(
        "no rows to keep", where=plan.log.where, found=f"{len(plan.log.files)} files",
        fix=f"check {plan.where.where}" if plan.where else None,
    )
