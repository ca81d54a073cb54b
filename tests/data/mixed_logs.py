"""Logs with a bit of everything that a log may hold, and the problems that read them in every way."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recmtl.schema import Problem

START = datetime(2026, 3, 1, tzinfo=UTC)
LATER = START + timedelta(days=3, microseconds=500)
ROWS, DAYS, HOUR = 240, 3, 3_600_000


def events(root: Path) -> Problem:
    """Impressions in partitions, some twice; clicks and orders, late, twice, orphaned, without a key; a
    history of users; days that begin in Shanghai; rates."""
    random = np.random.default_rng(11)
    drawn = random.integers(0, DAYS * 24 * HOUR, ROWS)
    drawn[0] = 16 * HOUR - 300  # in Shanghai .3 s before the next day
    times = np.sort(drawn) + int(START.timestamp() * 1000)
    log = pa.table({
        "id": [f"i{n}" for n in range(ROWS)], "t": (times / 1000).tolist(),
        "user": _some(random, [1, 2, 3, 4, 2**40, None]), "shop": _some(random, ["a", "ä", "A b", None]),
        "tags": _some(random, ["x, y", "y,,x ", "", "z", None]), "price": _numbers(random),
        "kept": [n % 17 != 3 for n in range(ROWS)],
    })
    for place, part in enumerate(("c=1", "c=b 2", "c=__HIVE_DEFAULT_PARTITION__")):
        piece = log.take(pa.array([n for n in range(ROWS) if n % 3 == place] + [0] * (place == 0)))
        _write(root / f"log/{part}/rows +{place}.parquet", piece)
    clicked = [n for n in range(ROWS) if n % 3]
    _write(root / "clicks/all.parquet", pa.table({
        "click": [n % 100 for n in clicked] + [None, 7],
        "id": [f"i{n}" for n in clicked] + ["i1", "i999"],
        "t": pa.array([times[n] + (n % 7 - 1) * HOUR // 10 + n % 9 / 8 for n in clicked]
                      + [float(times[1])] * 2),
    }))
    orders = [n for n in clicked if n % 2 == 0]
    _write(root / "orders/all.parquet", pa.table({
        **{key: [log[key][n].as_py() for n in orders] for key in ("user", "shop")},
        "at": pa.array([(int(times[n]) + n % 70 * HOUR) * 1000 for n in orders],
                       pa.timestamp("us", "Asia/Tokyo")),
        "amount": [None if n % 10 == 0 else n * 0.1 for n in orders],
        "state": [("paid", "cart", None)[n % 3] if n % 9 else "paid" for n in orders],
    }))
    _write(root / "users.parquet", pa.table({
        "user": [1, 1, 2, 2**40], "since": [int(times[0]), int(times[99]), int(times[50]), 0],
        "age": [20.0, 21.0, float("nan"), 60.5], "real": [True, True, False, True],
    }))
    _write(root / "shops.parquet", pa.table({
        "shop": ["a", "a", "ä"], "opened": [(START + timedelta(days=n)).date() for n in (0, 2, 1)],
        "rank": [1, 2, 3],
    }))
    return _events_problem(root)


def _events_problem(root: Path) -> Problem:
    timed = {"time": "t", "unit": "ms"}
    rate = {"kind": "rate", "label": "clicked"}
    return Problem.model_validate({
        "name": "events", "root": root,
        "data": {
            "impressions": {"path": "log", "id": "id", "zone": "Asia/Shanghai", "where": "kept",
                            "duplicates": "drop", "time": "t", "unit": "s"},
            "keys": ["user"], "split": {"valid": "2026-03-03", "test": "2026-03-04"},
            "as_of": "2026-03-04T03:00:00+09:00",
            "joins": [{"path": "users.parquet", "on": "user", "side": "user", "valid_from": "since",
                       "unit": "ms", "where": "real"},
                      {"path": "shops.parquet", "on": "shop", "valid_from": "opened"}],
            "events": {
                "click": {"path": "clicks/*.parquet", "id": "click", "on": "id", "window": "30 minutes",
                          **timed},
                "order": {"path": "orders/*.parquet", "time": "at", "on": ["user", "shop"], "of": "click",
                          "window": "1 day", "sum": ["amount"], "touch": "first",
                          "where": "state <> 'cart'"},
            },
        },
        "labels": {"clicked": "click", "bought": "click and order", "amount": "amount"},
        "features": {
            "user": {"kind": "categorical", "min_count": 2}, "shop": {"kind": "categorical"},
            "c": {"kind": "categorical"}, "tags": {"kind": "bag", "separator": ","},
            "both": {"kind": "cross", "of": ["user", "shop"]}, "age": {"kind": "numeric"},
            "rank": {"kind": "numeric"},
            "price": {"kind": "numeric", "transform": "quantile"},
            "user_rate": {**rate, "of": ["user"], "prior": 2},
            "pair_rate": {"kind": "rate", "label": "bought", "given": "clicked", "of": ["shop", "user"]},
            "tag_rate": {**rate, "of": ["tags"], "days": 2},
            "shop_count": {"kind": "count", "of": ["shop"]},
        },
        "tasks": {"ctr": {"label": "clicked"}, "ctcvr": {"label": "bought"},
                  "spent": {"label": "amount", "type": "regression"}},
    })


def columns(root: Path) -> Problem:
    """One table in two files of other widths and columns, one of them null in one; days as texts, times
    as ids, lists, floats that are ids, a side table with a few of the users; a split by hash."""
    random = np.random.default_rng(12)
    for place, (width, number) in enumerate(((pa.int32(), pa.float32()), (pa.int64(), pa.float64()))):
        rows = ROWS // 2
        table = pa.table({
            "user": pa.array(_some(random, [-5, 7, 8, 9, None], rows), width),
            "score": pa.array([float(x) for x in random.integers(-3, 3, rows)], number),
            "item": _some(random, [3.0, -0.0, float("nan"), 2.0**52, None], rows),
            "day": _some(random, ["2026-03-01", "20260302", "2026-3-3"], rows),
            "seen": pa.array(_some(random, [START, LATER, None], rows), pa.timestamp("ns")),
            "begun": pa.array(_some(random, [START.date(), None], rows), pa.date32()),
            "flag": _some(random, [True, False, None], rows),
            "last": pa.array(_some(random, [[1, 2, 3, 4], [5, None], [], None], rows), pa.list_(width)),
            "words": _some(random, [["a", "'b\\"], ["é"], None], rows),
            "point": pa.array(_some(random, [[0.1, 2.0], [3.5, -1.0], None], rows), pa.list_(number)),
            "click": pa.array(_some(random, [0, 1, 1, None], rows), pa.int8()),
            "paid": _some(random, [0.0, 1.5, 100.25, None], rows),
            "late": pa.array(_some(random, [0, 2**32 - 1, None], rows), pa.uint32()),
            "weight": pa.array(_some(random, [1, 2, 3], rows), pa.uint16()),
        })
        table = table.append_column(f"only_{place}", pa.array(range(rows)))
        once = pa.nulls(rows) if place else pa.array(["x", None] * (rows // 2))
        table = table.append_column("once", once)
        _write(root / f"one/rows[{place}].parquet", table)
    _write(root / "users.parquet", pa.table({
        "user": [7, 8, 100], "city": ["x\x1fy", "\\", "nowhere"], "empty": pa.nulls(3),
    }))
    return Problem.model_validate({
        "name": "columns", "root": root,
        "data": {
            "impressions": {"path": "one/*.parquet", "day": "day"}, "keys": ["user"], "group": "item",
            "split": {"hash": ["user", "city"], "valid": 0.2, "test": 0.2}, "weight": "weight",
            "joins": [{"path": "users.parquet", "on": "user"}],
        },
        "labels": {"click": "flag or click = 1", "rich": "click = 1 and paid > 1", "paid": "paid",
                   "old": "not (paid < 1) and flag is not null"},
        "features": {
            "user": {"kind": "categorical"}, "item": {"kind": "categorical", "share": "user"},
            **{key: {"kind": "categorical"} for key in ("seen", "begun", "city", "once")},
            **{key: {"kind": "numeric"} for key in ("empty", "late")},
            "words": {"kind": "bag"}, "last": {"kind": "history", "last": 3},
            "point": {"kind": "vector", "size": 2},
            "place": {"kind": "cross", "of": ["city", "item", "begun"]},
            "score": {"kind": "numeric", "transform": "log1p"},
        },
        "tasks": {"ctr": {"label": "click"}, "spent": {"label": "paid", "type": "regression"}},
    })


def _some(random: np.random.Generator, values: list[Any], rows: int = ROWS) -> list[Any]:
    return [values[place] for place in random.integers(0, len(values), rows)]


def _numbers(random: np.random.Generator) -> list[float | None]:
    found = random.lognormal(2.0, 1.0, ROWS).tolist()
    return [None if n % 11 == 0 else float("nan") if n % 13 == 0 else x for n, x in enumerate(found)]


def _write(file: Path, table: pa.Table) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)
