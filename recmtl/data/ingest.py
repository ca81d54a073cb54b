"""From logs in Parquet to examples: one row an impression, joined, labelled, a folder a day.

`_file` and `_row` say where a row comes from; `_time` is its time in UTC, `_weight` its weight.
Everything streams through DuckDB; the folder appears whole, with its manifest, or not at all. What did
not change is not read again.
"""

import logging
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from recmtl.data.duck import engine_errors
from recmtl.data.engine import open_engine
from recmtl.data.increments.days import EVERY_DAY, Window
from recmtl.data.increments.known import Known, Listing
from recmtl.data.renewal import Order, renew
from recmtl.folder import digest, locked, read_manifest
from recmtl.progress import SILENT, Progress
from recmtl.schema import HashSplit, Problem

FORMAT = 4  # raised when the same configuration and files would give other examples
_NOT_THEIRS = {"split", "half_life", "engine", "memory_limit", "spill", "as_of"}  # no part of examples
_log = logging.getLogger("recmtl")


def ingest(
    problem: Problem, out: Path, progress: Progress = SILENT, window: Window = EVERY_DAY
) -> dict[str, Any]:
    """Write the examples of `problem` to the folder `out` and return its manifest.

    Only days that are not what they should be are written, and of these only those in `window`; where
    there are none nothing is done. Raises RecmtlError for input that cannot be used, naming file and
    column, and leaves `out` as it was.
    """
    settings = settings_key(problem)
    with locked(out):
        known, listing = Known.open(out, settings), Listing.make(problem)
        if known.covers(listing, problem.data.as_of, window):
            if outside := window.misses(known.origins):
                _log.warning("warning: %s", outside)
            _log.info("%s: nothing has changed", out)
            return dict(known.manifest)
        with (
            listing.reading(),
            closing(open_engine(problem)) as db,
            engine_errors(problem.name),
        ):
            renew(db, Order(problem, settings, out, known, listing, window), progress)
        return read_manifest(out)


def settings_key(problem: Problem) -> str:
    """What the examples depend on in the configuration, whatever the files hold; paths are unexpanded."""

    def plain(value: BaseModel) -> Any:
        return value.model_dump(mode="json")

    data = problem.data
    return digest({
        "format": FORMAT,
        "data": data.model_dump(mode="json", exclude=_NOT_THEIRS),
        "hash": data.split.hash if isinstance(data.split, HashSplit) else (),
        "labels": problem.labels,
        "features": {n: plain(f) for n, f in problem.features.items()},
        "tasks": {n: plain(t) for n, t in problem.tasks.items()},
    })
