"""Three logs as they arrive, a file a day each, and the file shop.toml that reads them.

    python benchmarks/arrivals.py FOLDER [--days 11] [--rows 20000]

An event lies in the file of the day on which it happened, conversions up to a week after their click;
some come too late, some twice, some of impressions that nobody saw.
"""

import argparse
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FIRST = date(2026, 3, 1)
DAY = 86_400_000
CONFIG = """
name = "shop"

[data]
impressions = { path = "impressions/*.parquet", id = "id", time = "t", unit = "ms", zone = "UTC" }
keys  = ["user", "item"]
split = { valid = "2026-03-05", test = "2026-03-06" }

[data.events.click]
path   = "clicks/*.parquet"
id     = "click_id"
time   = "t"
unit   = "ms"
on     = "id"
window = "30 minutes"

[data.events.conversion]
of     = "click"
path   = "conversions/*.parquet"
id     = "order_id"
time   = "t"
unit   = "ms"
on     = ["user", "item"]
window = "7 days"
sum    = ["amount"]

[labels]
clicked   = "click"
converted = "click and conversion"

[features]
user  = { kind = "categorical" }
item  = { kind = "categorical" }
price = { kind = "numeric" }
words = { kind = "history" }

[tasks]
ctr   = { label = "clicked" }
ctcvr = { label = "converted" }

[models.shared_bottom]
sharing = { kind = "shared_bottom" }
loss    = { ctr = 1.0, ctcvr = 1.0 }

[train]
monitor = "auc_valid/ctcvr"
"""

Columns = dict[str, np.ndarray]


def impressions(rng: np.random.Generator, day: int, rows: int) -> Columns:
    return {
        "id": np.arange(rows) + day * rows, "t": midnight(day) + np.sort(rng.integers(0, DAY, rows)),
        "user": rng.integers(0, rows // 10 + 1, rows), "item": rng.integers(0, 1000, rows),
        "price": rng.lognormal(3.0, 1.0, rows),
    }


def clicks(rng: np.random.Generator, shown: Columns) -> Columns:
    """One impression in ten; one click in a hundred comes after the window."""
    rows = np.flatnonzero(rng.random(len(shown["id"])) < 0.1)
    late = np.where(rng.random(len(rows)) < 0.01, 40 * 60_000, 0)
    return {
        "click_id": shown["id"][rows], "id": shown["id"][rows],
        "t": shown["t"][rows] + rng.integers(1_000, 29 * 60_000, len(rows)) + late,
        "user": shown["user"][rows], "item": shown["item"][rows],
    }


def conversions(rng: np.random.Generator, clicked: Columns) -> Columns:
    """One click in ten, after six hours in the median; some after more than a week."""
    rows = np.flatnonzero(rng.random(len(clicked["id"])) < 0.1)
    hours = rng.lognormal(np.log(6.0), 1.5, len(rows))
    return {
        "order_id": clicked["click_id"][rows],
        "t": clicked["t"][rows] + (hours * 3_600_000).astype(np.int64),
        "user": clicked["user"][rows], "item": clicked["item"][rows],
        "amount": np.round(rng.lognormal(3.0, 1.0, len(rows)), 2),
    }


def repeated_and_orphaned(rng: np.random.Generator, events: Columns, id_: str) -> Columns:
    """One event in fifty a second time, one in a hundred of something that nobody saw."""
    rows = len(events["t"])
    twice, strange = np.flatnonzero(rng.random(rows) < 0.02), np.flatnonzero(rng.random(rows) < 0.01)
    taken = {name: np.concatenate([v, v[twice], v[strange]]) for name, v in events.items()}
    for name in {id_, "id", "user"} & taken.keys():
        taken[name][len(taken[name]) - len(strange):] += 10**12
    return taken


def midnight(day: int) -> int:
    moment = datetime.combine(FIRST, datetime.min.time(), UTC) + timedelta(days=day)
    return int(moment.timestamp() * 1000)


def write(folder: Path, day: int, columns: Columns, lists: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table(dict(columns))
    if lists:
        offsets = np.arange(0, 5 * len(columns["id"]) + 1, 5, dtype=np.int32)
        words = np.repeat(columns["id"], 5) * 7919 % 5000
        table = table.append_column("words", pa.ListArray.from_arrays(pa.array(offsets), pa.array(words)))
    pq.write_table(table, folder / f"{FIRST + timedelta(days=day)}.parquet")


def make(folder: Path, days: int, rows: int, seed: int = 7) -> Path:
    """Write the logs of so many days, `rows` impressions each; returns the configuration's file."""
    made: dict[str, list[Columns]] = {"clicks": [], "conversions": []}
    for day in range(days):
        rng = np.random.default_rng([seed, day])
        shown = impressions(rng, day, rows)
        write(folder / "impressions", day, shown, lists=True)
        clicked = clicks(rng, shown)
        bought = conversions(rng, clicked)
        made["clicks"].append(repeated_and_orphaned(rng, clicked, "click_id"))
        made["conversions"].append(repeated_and_orphaned(rng, bought, "order_id"))
        for log, parts in made.items():
            every = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            today = (every["t"] >= midnight(day)) & (every["t"] < midnight(day + 1))
            write(folder / log, day, {name: values[today] for name, values in every.items()})
    (folder / "shop.toml").write_text(CONFIG)
    return folder / "shop.toml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=11)
    parser.add_argument("--rows", type=int, default=20_000, help="impressions a day")
    chosen = parser.parse_args()
    print(make(chosen.folder, chosen.days, chosen.rows))


if __name__ == "__main__":
    main()
