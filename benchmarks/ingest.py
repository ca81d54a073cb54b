"""Ingest of W1 as three logs, beside a bare DuckDB read, join and partitioned write of the same columns.

    python benchmarks/ingest.py [--rows 20000000] [--folder FOLDER] [--rounds 2]

Makes the logs where they are missing, lets both run in turns, each in a process of its own with one
memory limit, and compares every label with polars. Prints rows a second and the most memory held.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl

from benchmarks.three_logs import make

HERE = Path(__file__).parent
MINUTE = 60_000
KEYS = ["user_id", "item_id"]


def run(script: str, *arguments: object) -> dict[str, float]:
    """What one of our scripts measured."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def labels(logs: Path) -> pl.DataFrame:
    """Every impression with its labels, by polars alone: clicks by id, orders by keys, last touch."""
    log = pl.scan_parquet(logs / "impressions" / "*.parquet")
    shown = log.select("impression_id", *KEYS, "ts").collect()
    clicks = pl.read_parquet(logs / "clicks" / "*.parquet").sort("ts").unique("click_id", keep="first")
    clicks = clicks.join(shown.rename({"ts": "shown"}), on="impression_id").filter(
        (pl.col("ts") >= pl.col("shown"))
        & (pl.col("ts") < pl.col("shown") + pl.duration(milliseconds=30 * MINUTE))
    )
    orders = pl.read_parquet(logs / "conversions" / "*.parquet").sort("ts")
    orders = orders.unique("order_id", keep="first").join(
        clicks.select("impression_id", *KEYS, clicked="ts"), on=KEYS
    ).filter(
        (pl.col("ts") >= pl.col("clicked")) & (pl.col("ts") < pl.col("clicked") + pl.duration(days=7))
    )
    credited = orders.sort("clicked").unique("order_id", keep="last")
    spent = credited.group_by("impression_id").agg(pl.col("amount").sum(), converted=pl.lit(1))
    return shown.select("impression_id").join(
        clicks.select("impression_id", click=pl.lit(1)).unique(), on="impression_id", how="left",
    ).join(spent, on="impression_id", how="left").select(
        "impression_id", pl.col("click", "converted").fill_null(0).cast(pl.Int8),
        spent=pl.col("amount").fill_null(0.0),
    ).sort("impression_id")


def compare(examples: Path, logs: Path) -> int:
    """How many rows are equal; stops where one is not."""
    expected = labels(logs)
    found = pl.read_parquet(examples / "dt=*" / "*.parquet", columns=expected.columns)
    found = found.select(expected.schema.names()).cast(expected.schema).sort("impression_id")
    if not found.equals(expected):
        sys.exit(f"labels differ: {found.sum()} instead of {expected.sum()}")
    print(f"{len(found):,} rows equal to polars: "
          f"{found['click'].sum():,} clicked, {found['converted'].sum():,} converted")
    return len(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--folder", type=Path, default=HERE / ".peers" / "w1-logs")
    parser.add_argument("--rounds", type=int, default=2)
    chosen = parser.parse_args()
    logs, out = chosen.folder.absolute() / str(chosen.rows), chosen.folder.absolute() / "out"
    make(logs, chosen.rows)
    os.environ["W1_LOGS"] = str(logs)
    rates: dict[str, list[float]] = {"partition": [], "days": [], "recmtl": []}
    for _ in range(chosen.rounds):
        for name, found in rates.items():
            shutil.rmtree(out, ignore_errors=True)
            measured = run("step.py", "ingest", HERE / "ingest.toml", out) if name == "recmtl" else run(
                "bare.py", name, logs, out
            )
            found.append(chosen.rows / measured["seconds"])
            print(f"{name}: {measured['seconds']:.1f} s, {found[-1]:,.0f} rows/s, "
                  f"{measured['peak_bytes'] / 1e9:.2f} GB", flush=True)
    compare(out / "examples", logs)
    ours = max(rates.pop("recmtl"))
    for name, found in rates.items():
        print(f"recmtl, contract included: {ours / max(found):.0%} of bare DuckDB ({name})")


if __name__ == "__main__":
    main()
