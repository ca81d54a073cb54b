"""All that the checks read: a folder of examples, their log and what is kept go in, facts come out."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import duckdb

from recmtl.data.contract.columns import Columns
from recmtl.data.contract.day import Day
from recmtl.data.contract.days import Walk
from recmtl.data.contract.facts import Facts
from recmtl.data.contract.funnels import label_pairs
from recmtl.data.contract.kept import Kept
from recmtl.data.contract.leakage import Strength, strengths
from recmtl.data.contract.log import Log
from recmtl.data.contract.sample import Rows
from recmtl.data.database import Database
from recmtl.data.day_files import day_files
from recmtl.folder import read_manifest
from recmtl.schema import Problem

NEWEST, BLOCKS = 10, 2  # days whose rows are searched for leakage, 8,192 rows of each


def survey(
    db: duckdb.DuckDBPyConnection, problem: Problem, folder: Path, keys: Mapping[str, str], kept: Kept,
    engine: Database,
) -> Facts:
    """`keys` are what the days are made from; those that are kept are not measured again. `engine` reads
    the log, `db` the examples.
    """
    manifest = read_manifest(folder)
    columns = Columns.of(problem, manifest)
    fresh = [name for name in keys if name not in {day.name for day in kept.days}]
    log = Log(engine, problem, manifest, fresh or list(keys))
    walk = Walk(db, columns, label_pairs(problem), kept.days, kept.seen)
    days = [walk.day(name, day_files(folder, name), manifest["days"][name]) for name in fresh]
    counted = _counted(log, [replace(day, key=keys[day.name]) for day in days]) if fresh else []
    facts = Facts(problem, manifest, columns, [*kept.days, *counted], log.table.types, log.identity, ())
    if not facts.sound:
        return facts
    return replace(facts, strengths=tuple(_strengths(db, facts, folder)))


def _counted(log: Log, days: list[Day]) -> list[Day]:
    """The days with what the log tells of them."""
    repeats, breaks = log.repeats(), log.breaks()
    none = (0, 0) if repeats is not None else (None, None)
    found = []
    for day in days:
        repeated, equal = (repeats or {}).get(day.name, none)
        found.append(replace(day, repeated=repeated, equal=equal, outcomes=breaks.get(day.name, {})))
    return found


def _strengths(db: duckdb.DuckDBPyConnection, facts: Facts, folder: Path) -> Iterator[Strength]:
    """Of the newest days, whether or not they are kept."""
    newest = facts.days[-NEWEST:]
    files = [file for day in newest for file in day_files(folder, day.name)]
    rows = Rows.spread(files, sum(day.rows for day in newest), NEWEST * BLOCKS)
    values, _ = rows.read(db, list(facts.columns.measured))
    yield from strengths(facts.problem, facts.columns, values)
