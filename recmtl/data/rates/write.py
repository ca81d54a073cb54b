"""Examples in; OUT/rates out: a state a day, of what was known when that day began.

The folder holds `dt=YYYY-MM-DD/*.parquet` for the days of the examples and the one after the last.
"""

from collections.abc import Mapping
from contextlib import closing, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sqlglot import exp

from recmtl.data.database import Database
from recmtl.data.day_files import day_folder
from recmtl.data.duck import engine_errors
from recmtl.data.engine import open_engine
from recmtl.data.examples import Examples
from recmtl.data.logs.write import link_day
from recmtl.data.query import column, dated, expression, text, tree
from recmtl.data.rates.horizon import horizon
from recmtl.data.rates.join import key
from recmtl.data.rates.states import Measure, State, rated, states_of
from recmtl.errors import RecmtlError
from recmtl.folder import digest, is_current, locked, read_manifest, write_folder
from recmtl.progress import SILENT, Progress
from recmtl.schema import Problem

FORMAT = 1  # raised when the same examples would give other states
_DAY = timedelta(days=1)


def write_rates(problem: Problem, examples: Examples, out: Path, progress: Progress = SILENT) -> None:
    """Write the folder `out`; nothing where there are no such features or it is current.

    A day is written again only where the examples of a day before it have changed.
    """
    features = rated(examples.features)
    if not features:
        return
    horizons = {label: int(horizon(problem, label).total_seconds()) for label in problem.labels}
    states = states_of(features, horizons)
    keys = sorted({k for state in states for k in state.keys})
    manifest = {
        "key": digest([FORMAT, examples.manifest["key"], horizons]),
        "examples": examples.manifest["key"], "horizons": horizons,
        "keys": {k: examples.columns[k] for k in keys}, "days": _days(examples, states),
    }
    with locked(out):
        if not is_current(out, manifest["key"]):
            with closing(open_engine(problem)) as db, write_folder(out, manifest) as folder:
                changed = _link_unchanged(out, folder, manifest["days"])
                with engine_errors(out), progress.track(len(states), "rates") as advance:
                    for state in states if changed else ():
                        _tally(db, problem, examples, state, changed)
                        for day in changed:
                            _write_day(db, state, day, folder)
                        advance(1)


def _days(examples: Examples, states: Mapping[State, Any]) -> dict[str, str]:
    """Each day that gets a state, with a digest of the states and of the examples before it."""
    origins, keys = examples.manifest["made_from"], {}
    so_far = digest([FORMAT, [repr(state) for state in states]])
    for day in [*examples.days, max(examples.days) + _DAY]:
        keys[day.isoformat()] = so_far
        so_far = digest([so_far, day, origins.get(day.isoformat())])
    return keys


def _link_unchanged(old: Path, new: Path, days: Mapping[str, str]) -> list[date]:
    """Take days whose digest is unchanged from the older folder; make and return the others."""
    was = {}
    with suppress(RecmtlError):
        was = read_manifest(old)["days"]
    changed = []
    for day, made_from in days.items():
        if was.get(day) == made_from:
            link_day(day, old, new)
        else:
            day_folder(new, day).mkdir()
            changed.append(date.fromisoformat(day))
    return changed


def _tally(
    db: Database, problem: Problem, examples: Examples, state: State,
    days: list[date],
) -> None:
    """Make the table `tally`: a row a key and day on which something of it became known."""
    before = [day for day in examples.days if day < max(days)] or examples.days[:1]
    made = tree(
        "rates_tally", known=_known(problem, state),
        rows_of_days=dated(examples.files(before), "examples"),
        keyed=exp.and_(*(column(k).is_(exp.null()).not_() for k in state.keys)),
    )
    select = made.expression
    for name in state.keys:
        value = key(name, examples.columns[name], "examples")
        select.select(exp.alias_(value, name, quoted=True), copy=False)
    for measure in state.measures:
        for name, number in zip(measure.columns, _numbers(measure), strict=True):
            select.select(exp.alias_(number, name, quoted=True), copy=False)
    db.execute(text(made))


def _known(problem: Problem, state: State) -> exp.Expr:
    """The first day on which a row of the examples counts."""
    wait, source = timedelta(seconds=state.horizon), problem.data.impressions
    if source.day or not wait:  # only the log knows where its own days begin
        return expression("rates_known", "by_day", days=exp.convert(-(-wait // _DAY)))
    moment = expression("rates_known", "moment", horizon=exp.convert(state.horizon))
    zone = exp.convert(source.zone)
    last_day = expression("values", "day_of_time", value=moment, zone=zone)
    return expression("rates_known", "by_time", last_day=last_day)


def _numbers(measure: Measure) -> list[exp.Expr]:
    label = column(measure.label) if measure.label else exp.convert(1)
    space = column(measure.given).eq(1) if measure.given else exp.true()
    return [
        expression("rates_measure", name, label=label, space=space)
        for name in ("counted", "positives")
    ]


def _write_day(db: Database, state: State, day: date, folder: Path) -> None:
    start = day - timedelta(days=state.days) if state.days else date.min
    copy = tree("rates_state", day=exp.convert(day), start=exp.convert(start))
    select = copy.this.this
    select.select(*map(column, state.keys), append=False, copy=False)
    for name in (name for measure in state.measures for name in measure.columns):
        total = expression("rates_measure", "summed", tallied=column(name))
        select.select(exp.alias_(total, name, quoted=True), copy=False)
    copy.set("files", [exp.Literal.string(str(day_folder(folder, day.isoformat()) / state.file))])
    db.execute(text(copy))
