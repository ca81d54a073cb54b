"""From logs in Parquet to examples: one row an impression, joined, labelled, a folder a day.

`_file` and `_row` say where a row comes from; `_time` is its time in UTC, `_weight` its weight.
Everything streams through DuckDB; the folder appears whole, with its manifest, or not at all. What did
not change is not read again.
"""

import logging
from contextlib import closing
from pathlib import Path
from typing import Any

from recmtl.data.duck import engine_errors
from recmtl.data.engine import open_engine
from recmtl.data.increments.days import EVERY_DAY, Window
from recmtl.data.increments.known import Known, Listing
from recmtl.data.renewal import Order, renew
from recmtl.data.settings_key import settings_key
from recmtl.folder import locked, read_manifest
from recmtl.progress import SILENT, Progress
from recmtl.schema import Problem

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
