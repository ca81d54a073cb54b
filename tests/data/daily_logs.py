"""Logs that grow by the day: impressions, clicks, conversions; and the problem that reads them."""

import os
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from recmtl.data.ingest import ingest
from recmtl.schema import Problem

FIRST = date(2026, 3, 1)
HOUR = timedelta(hours=1)


def day(number: int) -> str:
    return str(FIRST + timedelta(days=number))


def at(number: int, hours: float) -> int:
    """Milliseconds since 1970, so many hours into a day."""
    midnight = datetime.combine(FIRST, datetime.min.time(), UTC) + timedelta(days=number)
    return int((midnight + hours * HOUR).timestamp() * 1000)


def impressions(root: Path, number: int, rows: int = 4, name: str | None = None, begin: int = 0) -> Path:
    """A day's file: an impression an hour from noon on; ids go on from day to day."""
    ids = [number * 100 + begin + i for i in range(rows)]
    return write(root / "impressions" / (name or f"{day(number)}.parquet"), {
        "id": ids, "t": [at(number, 12 + i) for i in range(rows)],
        "user": [i % 3 for i in range(rows)], "item": [f"item-{i % 2}" for i in ids],
    })


def clicks(root: Path, name: str, ids: list[int]) -> Path:
    """Clicks a minute after their impressions."""
    times = [at(i // 100, 12 + i % 100) + 60_000 for i in ids]
    return write(root / "clicks" / name, {"click_id": ids, "id": ids, "t": times}, CLICK)


def conversions(root: Path, name: str, events: list[tuple[int, int, float]]) -> Path:
    """Orders of a clicked impression: id, days after it, amount."""
    return write(root / "conversions" / name, {
        "order_id": [10 * i + n for n, (i, _, _) in enumerate(events)],
        "click_id": [i for i, _, _ in events],
        "t": [at(i // 100 + later, 12 + i % 100) + 120_000 for i, later, _ in events],
        "amount": [amount for *_, amount in events],
    }, CONVERSION)


CLICK = {"click_id": pl.Int64, "id": pl.Int64, "t": pl.Int64}
CONVERSION = {"order_id": pl.Int64, "click_id": pl.Int64, "t": pl.Int64, "amount": pl.Float64}


def write(path: Path, columns: dict[str, Any], schema: Any = None) -> Path:
    path.parent.mkdir(exist_ok=True)
    pl.DataFrame(columns, schema=schema).write_parquet(path)
    return path


def problem(root: Path, **data: Any) -> Problem:
    """Clicks within half an hour, conversions within seven days of the click."""
    timed = {"time": "t", "unit": "ms"}
    return Problem.model_validate({
        "name": "daily", "root": root,
        "data": {
            "impressions": {"path": "impressions/*.parquet", "id": "id", "zone": "UTC", **timed},
            "keys": ["user"], "split": {"valid": day(1), "test": day(2)},
            "events": {
                "click": {"path": "clicks/*.parquet", "id": "click_id", "on": "id",
                          "window": "30 minutes", **timed},
                "conversion": {"path": "conversions/*.parquet", "id": "order_id", "on": "click_id",
                               "of": "click", "window": "7 days", "sum": ["amount"], **timed},
            },
        } | data,
        "labels": {"clicked": "click", "converted": "click and conversion", "spent": "amount"},
        "features": {"user": {"kind": "categorical"}, "item": {"kind": "categorical"}},
        "tasks": {"ctr": {"label": "clicked"}, "ctcvr": {"label": "converted"},
                  "spent": {"label": "spent", "type": "regression"}},
    })


def three_days(root: Path) -> Path:
    """Three days with a click a day and an order on the first; returns the folder of the examples."""
    for number in range(3):
        impressions(root, number)
        clicks(root, f"{day(number)}.parquet", [number * 100 + 1])
    conversions(root, f"{day(0)}.parquet", [(1, 0, 5.0)])
    return root / "out"


def files(out: Path) -> dict[str, tuple[int, int]]:
    """Each file of the examples: its inode and the time of its last change."""
    found = {f: f.stat() for f in sorted(out.glob("dt=*/*.parquet"))}
    return {str(f.relative_to(out).parent)[3:]: (s.st_ino, s.st_mtime_ns) for f, s in found.items()}


def rewritten(out: Path, before: dict[str, tuple[int, int]]) -> list[str]:
    """The days whose file is another one than before."""
    return [name for name, state in files(out).items() if before.get(name) != state]


def content(out: Path) -> pl.DataFrame:
    """All rows, but for the files' numbers, sorted."""
    rows = pl.read_parquet(out / "dt=*/*.parquet", hive_partitioning=True).drop("_file")
    return rows.sort("id", "_row")


def undisturbed(made: Problem, root: Path) -> pl.DataFrame:
    """What a first run gives on the same logs."""
    fresh = root / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    ingest(made, fresh)
    return content(fresh)


def touch(file: Path) -> None:
    """Another time, the same content."""
    state = file.stat()
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000_000))
