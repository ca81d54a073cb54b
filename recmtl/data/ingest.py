"""From a log in Parquet to examples: one row an impression, joined, labelled, a folder a day.

`_file` and `_row` say where a row comes from; `_time` is its time in UTC, `_weight` its weight.
Everything streams through DuckDB; the folder appears whole, with its manifest, or not at all.
"""

import os
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
from pydantic import BaseModel
from sqlglot import exp

from recmtl.data.duck import connect, duck_errors
from recmtl.data.logs.checks import Days, check_days, check_sides, check_values, matches
from recmtl.data.logs.plan import Plan, make_plan, side_files
from recmtl.data.logs.results import empty_features, label_counts
from recmtl.data.logs.table import find, naming_damage, narrow
from recmtl.data.query import statement, text, tree
from recmtl.folder import digest, file_digest, is_current, read_manifest, write_folder
from recmtl.progress import SILENT, Progress
from recmtl.schema import HashSplit, Problem

FORMAT = 1  # raised when the same configuration and files would give other examples


def ingest(problem: Problem, out: Path, progress: Progress = SILENT) -> dict[str, Any]:
    """Write the examples of `problem` to the folder `out` and return its manifest.

    Does nothing where `out` was made from the same files and settings. Raises RecmtlError for input
    that cannot be used, naming file and column, and leaves `out` as it was.
    """
    files = find(problem, problem.data.impressions.paths, "data.impressions")
    key = _key(problem, files)
    if is_current(out, key):
        return read_manifest(out)
    with closing(connect(problem.data.memory_limit)) as db, duck_errors(problem.name):
        plan = make_plan(db, problem, files)
        with naming_damage(db, plan.files):
            check_values(db, plan)
            warnings = check_sides(db, plan)
            days = check_days(db, plan)
        manifest: dict[str, Any] = {
            "key": key, "settings": settings_key(problem), "sources": _sources(db, files),
            "columns": {},
            "features": {n: f.model_dump(mode="json") for n, f in plan.features.items()},
            "zone": problem.data.impressions.zone, "days": {}, "warnings": warnings,
        }
        with write_folder(out, manifest) as folder, duck_errors(out):
            with naming_damage(db, plan.files):
                _write(db, plan, days, folder, manifest, progress)
            warnings += empty_features(db, plan, folder)
    return read_manifest(out)


def _key(problem: Problem, files: tuple[str, ...]) -> str:
    """What the examples depend on: the settings, and the files as they lie there."""
    sides = [file for found in side_files(problem) for file in found]
    states = [(Path(f).name, os.stat(f)) for f in (*files, *sides)]
    found = [(name, state.st_size, state.st_mtime_ns) for name, state in states]
    return digest({**_settings(problem), "files": found})


def settings_key(problem: Problem) -> str:
    """What the examples depend on in the configuration, whatever the files hold."""
    return digest(_settings(problem))


def _settings(problem: Problem) -> dict[str, Any]:
    """With unexpanded paths."""

    def plain(value: BaseModel) -> Any:
        return value.model_dump(mode="json")

    data = problem.data
    return {
        "format": FORMAT,
        "data": data.model_dump(mode="json", exclude={"split", "memory_limit"}),
        "hash": data.split.hash if isinstance(data.split, HashSplit) else (),
        "labels": problem.labels,
        "features": {n: plain(f) for n, f in problem.features.items()},
        "tasks": {n: plain(t) for n, t in problem.tasks.items()},
    }


def _sources(db: duckdb.DuckDBPyConnection, files: tuple[str, ...]) -> list[dict[str, Any]]:
    found = db.execute("SELECT file_name, num_rows FROM parquet_file_metadata(?)", [list(files)])
    rows = dict(found.fetchall())
    return [
        {"path": f, "size": os.path.getsize(f), "rows": rows[f], "digest": file_digest(Path(f))}
        for f in files
    ]


def _write(
    db: duckdb.DuckDBPyConnection, plan: Plan, days: Days, folder: Path,
    manifest: dict[str, Any], progress: Progress,
) -> None:
    db.execute(statement("sources", paths=exp.convert(list(plan.log.files))))
    db.execute(examples_view(plan))
    described = db.execute("DESCRIBE SELECT * EXCLUDE (_day) FROM examples").fetchall()
    manifest["columns"] = {name: kind for name, kind, *_ in described}
    with progress.track(sum(sum(files.values()) for files in days.values()), "ingest") as advance:
        for day, files in sorted(days.items(), key=lambda item: str(item[0])):
            counts = _write_day(db, plan, day, list(files), folder)
            rows = sum(files.values())
            manifest["days"][day.isoformat() if day else "undated"] = {"rows": rows, "labels": counts}
            advance(rows)


def _write_day(
    db: duckdb.DuckDBPyConnection, plan: Plan, day: date | None, files: list[str], folder: Path
) -> dict[str, dict[str, int]]:
    """Write a day, or undated rows a part a source file, so that no sort is larger than needed."""
    parts = folder / (f"dt={day.isoformat()}" if day else "undated")
    parts.mkdir()
    ordered = [file for file in plan.log.files if file in files]
    for number, group in enumerate([ordered] if day else [[file] for file in ordered]):
        narrow(db, "log", group)
        copy = tree("write_day", this_day=exp.convert(day) if day else exp.null())
        copy.set("files", [exp.Literal.string(str(parts / f"part-{number:05d}.parquet"))])
        db.execute(text(copy))
    return label_counts(db, plan, str(parts / "*.parquet"))


def examples_view(plan: Plan) -> str:
    """The statement that creates the view `examples`, a paste-ready account of what ingest does."""
    view = tree(
        "examples", condition=plan.kept,
        day=exp.cast(plan.day if plan.day is not None else exp.null(), "DATE"),
    )
    select = view.expression
    if plan.time is not None:
        select.select(exp.alias_(plan.time, "_time"), copy=False)
    if plan.weight is not None:
        select.select(exp.alias_(plan.weight.read, "_weight"), copy=False)
    for value in plan.values:
        read = exp.cast(value.read, value.kind, dialect="duckdb")
        select.select(exp.alias_(read, value.column, quoted=True), copy=False)
    for name, label in plan.labels.items():
        select.select(exp.alias_(label.read, name, quoted=True), copy=False)
    for side in plan.sides:
        select.join(exp.to_table(side.table.name), on=matches(side), join_type="left", copy=False)
    return text(view)
