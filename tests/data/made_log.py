"""A small log on disk and the problem that reads it: what ingest's tests change one thing of."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from recmtl.data.examples import Examples
from recmtl.data.selection import select
from recmtl.schema import Problem

ROWS: dict[str, list[Any]] = {
    "user": [1, 2, 2**63 - 1, 1],
    "item": ["a", "b", "a", None],
    "day": [20220503, 20220501, 20220503, 20220502],
    "tags": ["x, y,", "", None, "x"],
    "price": [1.5, None, float("nan"), 2.0],
    "click": [1, 0, 1, 1],
    "bought": [1, None, None, 0],
}


def write(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def problem(root: Path, **changes: Any) -> Problem:
    """The problem over `root/log*.parquet`; changes replace whole keys, data's by `data={…}`."""
    content: dict[str, Any] = {
        "name": "made",
        "labels": {"clicked": "click = 1", "converted": "click and bought"},
        "features": {
            "user": {"kind": "categorical"}, "item": {"kind": "categorical"},
            "tags": {"kind": "bag", "separator": ","}, "price": {"kind": "numeric"},
        },
        "tasks": {"ctr": {"label": "clicked"}},
    }
    data = {
        "impressions": {"path": "log*.parquet", "day": "day"},
        "keys": ["user"],
        "split": {"valid": "2022-05-02", "test": "2022-05-03"},
    }
    data |= changes.pop("data", {})
    return Problem.model_validate({**content, "data": data, **changes, "root": root})


def rows(folder: Path, *columns: str, part: str | None = None, split: Any = None) -> list[Any]:
    """Rows of examples as tuples, in their order."""
    query = select(Examples.open(folder), split, part, columns or None)
    return duckdb.connect().execute(query).fetchall()
