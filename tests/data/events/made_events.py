"""Three small logs on disk and the problem that credits them, of which tests change one thing."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recmtl.schema import Problem

CLICK = {"path": "click*.parquet", "time": "t", "unit": "s", "on": "impression", "window": "10 seconds"}
ORDER = {
    "of": "click", "path": "order*.parquet", "time": "t", "unit": "s", "on": ["user", "item"],
    "window": "20 seconds", "sum": ["amount"],
}
START = 1_767_225_600  # 2026-01-01, midnight in UTC
IMPRESSIONS: dict[str, list[Any]] = {
    "impression": [1, 2, 3], "user": [7, 7, 8], "item": ["a", "b", "a"],
    "t": [START, START + 5, START + 100],
}
CLICKS: dict[str, list[Any]] = {"impression": [1, 3], "t": [START + 3, START + 101]}
ORDERS: dict[str, list[Any]] = {
    "user": [7, 8, 8], "item": ["a", "a", "a"], "t": [START + 4, START + 110, START + 111],
    "amount": [2.5, 1.0, 3.0],
}


def write(root: Path, **logs: dict[str, Any]) -> None:
    """Write the three logs, or those of other contents: `click={…}`."""
    for name, columns in {"log": IMPRESSIONS, "click": CLICKS, "order": ORDERS, **logs}.items():
        pq.write_table(pa.table(columns), root / f"{name}.parquet")


def problem(root: Path, events: dict[str, Any] | None = None, **data: Any) -> Problem:
    """The problem over `root/log*.parquet`; `events` replace those that are there."""
    sources = {"click": CLICK, "order": ORDER} if events is None else events
    impressions = {"path": "log*.parquet", "id": "impression", "time": "t", "unit": "s", "zone": "UTC"}
    labels = {
        "clicked": "click", "bought": "click and order", "spent": "amount",
        "early": "click_time is not null",
    }
    known = {"clicked": {"click"}, "bought": {"click", "order"}, "spent": {"order"}, "early": {"click"}}
    kept = {n: text for n, text in labels.items() if known[n] <= sources.keys()}
    return Problem.model_validate({
        "name": "made", "root": root,
        "data": {
            "impressions": impressions, "keys": ["user"], "events": sources,
            "split": {"valid": "2026-01-02", "test": "2026-01-03"}, **data,
        },
        "labels": kept,
        "features": {"user": {"kind": "categorical"}}, "tasks": {"ctr": {"label": "clicked"}},
    })
