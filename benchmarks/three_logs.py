"""W1 as three logs: its generator goes in; impressions, clicks and conversions in files come out.

Clicks and conversions lie in the file of the day on which they happened. One in a hundred comes after its
window, one in fifty stands there twice, one in a hundred is of something that nobody saw.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PIECE = 2_000_000  # rows that the generator holds at a time
START, WEEK = 1_700_006_400_000, 7 * 86_400_000  # a midnight; W1's clock
MINUTE = 60_000
Columns = dict[str, np.ndarray]


def make(folder: Path, rows: int) -> None:
    """Write `rows` impressions over seven days, in order of time, and what came of them."""
    if (folder / "done").exists():
        return
    pieces = max(1, rows // PIECE)
    events: list[tuple[Columns, Columns]] = []
    for piece in range(pieces):
        generated = folder / "w1"
        _generate(generated, rows // pieces, seed=7 + piece)
        for file in sorted(generated.glob("part-*.parquet")):
            events.append(_split(pq.read_table(file), folder, (piece, pieces), len(events)))
        shutil.rmtree(generated)
    for number, (log, id_) in enumerate((("clicks", "click_id"), ("conversions", "order_id"))):
        every = {name: np.concatenate([part[number][name] for part in events])
                 for name in events[0][number]}
        _by_day(folder / log, _disturbed(every, id_))
    (folder / "done").touch()


def _generate(folder: Path, rows: int, seed: int) -> None:
    data = os.environ.get("RECMTL_DATA")
    generator = Path(data or "").parent / "bench" / "w1.py"
    if not data or not generator.exists():
        sys.exit("no generator of W1: set RECMTL_DATA to the logs beside it")
    command = [sys.executable, str(generator), str(folder), "--rows", str(rows), "--seed", str(seed)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _split(
    table: pa.Table, folder: Path, piece: tuple[int, int], number: int
) -> tuple[Columns, Columns]:
    """Write one file of impressions, a slice of the week; returns its clicks and conversions."""
    rng = np.random.default_rng([7, number])
    since = table["ts"].cast(pa.int64()).to_numpy() - 1_700_000_000_000
    shown = START + (piece[0] * WEEK + since) // piece[1]
    ids = np.arange(len(table)) + number * 10**8
    log = table.drop_columns(["click", "conversion", "ts"])
    log = log.append_column("impression_id", pa.array(ids))
    log = log.append_column("ts", pa.array(shown, pa.timestamp("ms")))
    (folder / "impressions").mkdir(parents=True, exist_ok=True)
    pq.write_table(log, folder / "impressions" / f"part-{number:03d}.parquet", compression="zstd")
    of = np.flatnonzero(table["click"].to_numpy())
    late = np.where(rng.random(len(of)) < 0.01, 40 * MINUTE, 0)
    clicked = shown[of] + rng.integers(1_000, 29 * MINUTE, len(of)) + late
    clicks = {"click_id": ids[of], "impression_id": ids[of], "ts": clicked}
    bought = np.flatnonzero(table["conversion"].to_numpy()[of])
    keys = {name: table[name].to_numpy()[of][bought] for name in ("user_id", "item_id")}
    wait = np.exp(rng.normal(np.log(6.0), 1.5, len(bought))) * 60 * MINUTE
    return clicks, {
        "order_id": ids[of][bought], **keys, "ts": clicked[bought] + wait.astype(np.int64),
        "amount": np.round(rng.lognormal(3.0, 1.0, len(bought)) * 4) / 4,
    }


def _disturbed(events: Columns, id_: str) -> Columns:
    rng = np.random.default_rng(7)
    twice, strange = (np.flatnonzero(rng.random(len(events["ts"])) < share) for share in (0.02, 0.01))
    made = {name: np.concatenate([v, v[twice], v[strange]]) for name, v in events.items()}
    for name in {id_, "impression_id", "user_id"} & made.keys():
        made[name][-len(strange):] += 10**15
    return made


def _by_day(folder: Path, events: Columns) -> None:
    folder.mkdir(exist_ok=True)
    days = events["ts"] // 86_400_000
    for day in np.unique(days):
        table = {name: values[days == day] for name, values in events.items()}
        table["ts"] = pa.array(table["ts"], pa.timestamp("ms"))
        pq.write_table(pa.table(table), folder / f"{np.datetime64(int(day), 'D')}.parquet")
