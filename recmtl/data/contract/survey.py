"""All that the checks read: a folder of examples, their log and what is kept go in, facts come out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import duckdb

from recmtl.data.contract.columns import Columns
from recmtl.data.contract.day import Day
from recmtl.data.contract.days import Walk
from recmtl.data.contract.facts import Facts
from recmtl.data.contract.funnels import label_pairs
from recmtl.data.contract.inputs import Files, input_files
from recmtl.data.contract.kept import Kept
from recmtl.data.contract.log import Log
from recmtl.data.contract.search import Search
from recmtl.data.database import Database
from recmtl.data.day_files import day_files
from recmtl.data.examples import Examples
from recmtl.schema import Problem


def survey(
    db: duckdb.DuckDBPyConnection, problem: Problem, folder: Path, keys: Mapping[str, str], kept: Kept,
    engine: Database,
) -> Facts:
    """`keys` are what the days are made from; those that are kept are not measured again. `engine` reads
    the log, `db` the examples.
    """
    examples = Examples.open(folder)
    manifest, columns = examples.manifest, Columns.of(problem, examples)
    fresh = [name for name in keys if name not in {day.name for day in kept.days}]
    log = Log(engine, problem, manifest, fresh or list(keys))
    walk = Walk(db, columns, label_pairs(problem), kept.days, kept.seen)
    days = [walk.day(name, day_files(folder, name), manifest["days"][name]) for name in fresh]
    counted = _counted(log, [replace(day, key=keys[day.name]) for day in days]) if fresh else []
    types = {"data.impressions": Files.of_log(log.table, manifest)}
    types |= dict(input_files(db, engine, problem))
    facts = Facts(problem, manifest, columns, [*kept.days, *counted], types, log.identity, ())
    if not facts.sound:
        return facts
    spaces, strengths = Search(db, facts, folder).run()
    return replace(facts, strengths=strengths, spaces=spaces)


def _counted(log: Log, days: list[Day]) -> list[Day]:
    """The days with what the log tells of them."""
    repeats, breaks, again = log.repeats(), log.breaks(), log.again()
    none = (0, 0) if repeats is not None else (None, None)
    found = []
    for day in days:
        repeated, equal = (repeats or {}).get(day.name, none)
        found.append(replace(
            day, repeated=repeated, equal=equal, again=again.get(day.name, 0),
            outcomes=breaks.get(day.name, {}),
        ))
    return found
