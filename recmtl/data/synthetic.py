"""A seeded click and conversion log with a known truth: a folder with the log and, apart, its oracle.

One table (`log/`, with labels) or three logs (`impressions/`, `clicks/`, `conversions/`), and beside
them `truth/`, the exact probabilities row for row, and `truth.json`, what they reach on the last day.
"""

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recmtl.data.synthetic_oracle import Oracle
from recmtl.data.synthetic_world import Floats, Ints, Rows, World
from recmtl.errors import RecmtlError
from recmtl.folder import write_folder
from recmtl.progress import SILENT, Progress
from recmtl.seed import numpy_generator

Form = Literal["table", "logs"]
Bools = NDArray[np.bool_]
Objects = NDArray[np.object_]

FIRST_DAY = date(2026, 3, 1)
DAYS = 10
USERS, ITEMS = 800, 300
HISTORY = 20
CHUNK = 200_000  # rows in memory at a time
DAY_MS = 86_400_000
LONGEST_DELAY_MS = 7 * DAY_MS
SEGMENT_NAMES = np.array([f"segment-{letter}" for letter in "abcdef"], dtype=object)
DEVICE_NAMES = np.array(["phone", "tablet", "desktop", "television"], dtype=object)


@dataclass(frozen=True)
class Chunk:
    """Rows of one day in the order of time, with what came of them; times in ms since 1970, UTC."""

    rows: Rows
    id: Ints
    time: Ints
    p_click: Floats
    p_conversion: Floats  # given a click
    click: Bools
    conversion: Bools
    click_time: Ints
    conversion_time: Ints


def generate(
    out: Path, rows: int, seed: int, form: Form = "table", progress: Progress = SILENT,
    bias: float | None = None,
) -> dict[str, Any]:
    """Write a log of `rows` impressions over ten days into the folder `out`; returns truth.json.

    Equal arguments give equal files. The two forms hold the same impressions, clicks and
    conversions. `bias` plants so much selection of converters by clicks (`World.make`). Raises
    RecmtlError where `rows` is too small or `form` unknown.
    """
    if rows < 10 * DAYS:
        raise RecmtlError(f"too few rows: {rows}", where="synthetic log", expected=f"{10 * DAYS} or more")
    if form not in ("table", "logs"):
        raise RecmtlError(f"unknown form {form!r}", where="synthetic log", expected="table or logs")
    world = World.make(seed, USERS, ITEMS, bias)
    history = _History(USERS)
    oracle = Oracle()
    manifest: dict[str, Any] = {"rows": rows, "seed": seed, "form": form, "days": DAYS}
    if bias is not None:
        manifest["bias"] = bias
    with write_folder(out, manifest) as folder, progress.track(rows, "synthetic log") as advance:
        for day, part, chunk in _chunks(world, rows, seed):
            history.begin(day)
            name = f"{FIRST_DAY + timedelta(days=day)}-{part:03d}.parquet"
            write = _write_table if form == "table" else _write_logs
            write(folder, name, chunk, _columns(world, chunk, history))
            _write(folder / "truth" / name, _truth(chunk))
            history.add(chunk)
            oracle.add(
                chunk.p_click, chunk.p_conversion, chunk.click, chunk.conversion, day == DAYS - 1
            )
            advance(len(chunk.id))
        truth = {**manifest, **oracle.summary()}
        (folder / "truth.json").write_text(json.dumps(truth, indent=1))
    return truth


def _chunks(world: World, rows: int, seed: int) -> Iterator[tuple[int, int, Chunk]]:
    """Day, part of the day, rows: each part a slice of the day's clock, drawn from its own stream."""
    begin = 0
    for day in range(DAYS):
        count = rows * (day + 1) // DAYS - rows * day // DAYS
        parts = -(-count // CHUNK)
        for part in range(parts):
            size = count * (part + 1) // parts - count * part // parts
            rng = numpy_generator(seed, "synthetic", day, part)
            clock = np.sort((part + rng.random(size)) / parts)
            yield day, part, _draw(world, rng, clock, begin, day)
            begin += size


def _draw(world: World, rng: np.random.Generator, clock: Floats, begin: int, day: int) -> Chunk:
    midnight = datetime.combine(FIRST_DAY, datetime.min.time(), UTC) + timedelta(days=day)
    n = len(clock)
    rows = world.draw(rng, clock)
    time = int(midnight.timestamp() * 1000) + (clock * DAY_MS).astype(np.int64)
    p_click, p_conversion = world.probabilities(rows)
    click = rng.random(n) < p_click
    conversion = click & (rng.random(n) < p_conversion)
    click_time = time + rng.integers(1_000, 30_000, n)
    hours = np.exp(rng.normal(np.log(6.0), 1.5, n))  # median six hours, a long tail of days
    delay = np.clip(hours * 3_600_000, 60_000, LONGEST_DELAY_MS).astype(np.int64)
    return Chunk(
        rows, np.arange(begin, begin + n), time, p_click, p_conversion, click, conversion,
        click_time, click_time + delay,
    )


class _History:
    """The items that each user clicked last, as known when the day began: a nightly feature."""

    def __init__(self, users: int) -> None:
        self._known: list[list[int]] = [[] for _ in range(users)]
        self._today: list[deque[int]] = [deque(maxlen=HISTORY) for _ in range(users)]
        self._day = 0

    def begin(self, day: int) -> None:
        """What was clicked until now becomes known, once a day."""
        if day == self._day:
            return
        for user, items in enumerate(self._today):
            self._known[user] = (self._known[user] + list(items))[-HISTORY:]
            items.clear()
        self._day = day

    def lists(self, users: Ints, names: Objects) -> pa.Array:
        """One list an impression, most recent last; empty where nothing is known yet."""
        lengths = np.array([len(items) for items in self._known])[users]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        flat = [item for user in users for item in self._known[user]]
        values = pa.array(names).take(pa.array(flat, pa.int64()))
        return pa.ListArray.from_arrays(pa.array(offsets), values)

    def add(self, chunk: Chunk) -> None:
        users, items = chunk.rows.user[chunk.click], chunk.rows.item[chunk.click]
        for user, item in zip(users.tolist(), items.tolist(), strict=True):
            self._today[user].append(item)


def _columns(world: World, chunk: Chunk, history: _History) -> dict[str, Any]:
    """What the log shows of the impressions. The tastes and all additive effects stay hidden."""
    users, items, rows = world.users, world.items, chunk.rows
    tags = items.tags[rows.item]
    offsets = np.arange(0, tags.size + 1, tags.shape[1], dtype=np.int32)
    return {
        "impression_id": chunk.id,
        "time_ms": chunk.time,
        "user_id": users.id[rows.user],
        "item_id": items.id[rows.item],
        "segment": SEGMENT_NAMES[users.segment[rows.user]],
        "category": items.category[rows.item],
        "device": DEVICE_NAMES[rows.device],
        "hour": rows.hour,
        "age": pa.array(40.0 + 12.0 * users.age[rows.user], from_pandas=True),
        "price": np.exp(3.0 + items.price[rows.item]),
        "discount": pa.array(rows.discount, from_pandas=True),
        "tags": pa.ListArray.from_arrays(pa.array(offsets), pa.array(tags.ravel())),
        "history": history.lists(rows.user, items.id),
    }


def _truth(chunk: Chunk) -> dict[str, Any]:
    return {
        "impression_id": chunk.id,
        "p_click": chunk.p_click,
        "p_conversion_given_click": chunk.p_conversion,
        "p_click_and_conversion": chunk.p_click * chunk.p_conversion,
    }


def _write_table(folder: Path, name: str, chunk: Chunk, columns: dict[str, Any]) -> None:
    labels = {"click": chunk.click.astype(np.int8), "conversion": chunk.conversion.astype(np.int8)}
    _write(folder / "log" / name, {**columns, **labels})


def _write_logs(folder: Path, name: str, chunk: Chunk, columns: dict[str, Any]) -> None:
    """Clicks and conversions lie in the file of their impression's day, in the impressions' order."""
    _write(folder / "impressions" / name, columns)
    for log, what, time in (
        ("clicks", chunk.click, chunk.click_time),
        ("conversions", chunk.conversion, chunk.conversion_time),
    ):
        _write(folder / log / name, {"impression_id": chunk.id[what], "time_ms": time[what]})


def _write(file: Path, columns: dict[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), file)
