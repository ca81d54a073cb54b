"""Small logs of several days, and the report on them: what the contract's tests change one thing of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recmtl.data import contract
from recmtl.data.ingest import ingest
from recmtl.schema import Problem

ROWS = 2000  # a day
START = 1_704_067_200_000  # 2024-01-01 in milliseconds
DAYS = ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04")
Columns = dict[str, Any]


def day(name: str, seed: int = 0, rows: int = ROWS) -> Columns:
    """A day like all others: a click on every fifth impression, a buy after every fourth click."""
    draw = np.random.default_rng([seed, DAYS.index(name)])
    click = (draw.random(rows) < 0.2).astype(np.int8)
    return {
        "user": draw.integers(0, 300, rows), "item": draw.integers(0, 50, rows).astype(str).tolist(),
        "time": START + DAYS.index(name) * 86_400_000 + draw.permutation(rows * 40)[:rows],
        "price": np.round(draw.lognormal(size=rows), 2), "click": click,
        "bought": click * (draw.random(rows) < 0.25).astype(np.int8),
        "tags": [[int(t) for t in draw.integers(0, 9, n)] for n in draw.integers(0, 4, rows)],
    }


def problem(root: Path, **changes: Any) -> Problem:
    """The problem over `root/log/*.parquet`; changes replace whole keys, data's by `data={…}`."""
    data = {
        "impressions": {"path": "log/*.parquet", "time": "time", "unit": "ms", "zone": "UTC"},
        "keys": ["user", "item"], "split": {"valid": "2024-01-03", "test": "2024-01-04"},
    } | changes.pop("data", {})
    content = {
        "name": "made", "labels": {"click": "click", "bought": "click and bought"},
        "features": {
            "user": {"kind": "categorical"}, "item": {"kind": "categorical"},
            "price": {"kind": "numeric"}, "tags": {"kind": "bag"},
        },
        "tasks": {"ctr": {"label": "click"}, "cvr": {"label": "bought", "given": "click"}},
    }
    return Problem.model_validate({**content, "data": data, **changes, "root": root})


def write(root: Path, days: dict[str, Columns]) -> None:
    (root / "log").mkdir(exist_ok=True)
    for name, columns in days.items():
        pq.write_table(pa.table(columns), root / "log" / f"{name}.parquet")


def report(
    root: Path, change: Callable[[dict[str, Columns]], None] = lambda days: None, **changes: Any
) -> contract.Report:
    """The report on four days, after `change` has changed them."""
    days = {name: day(name) for name in DAYS}
    change(days)
    write(root, days)
    made = problem(root, **changes)
    ingest(made, root / "examples")
    return contract.check(made, root / "examples", root / "contract")


def found(report: contract.Report, check: str, column: str | None = None) -> list[tuple[str, str]]:
    """Level and text of the findings of a check."""
    return [
        (f["level"], f["found"]) for f in report["findings"]
        if f["check"] == check and column in (None, f["column"])
    ]
