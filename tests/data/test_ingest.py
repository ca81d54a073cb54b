"""Ingest: what the examples hold, computed by hand and, on a public log, by polars."""

import signal
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recmtl.data.examples import Examples
from recmtl.data.ingest import ingest
from recmtl.experiment import Experiment
from tests.data.made_log import ROWS, problem, rows, write

ROOT = Path(__file__).parent.parent.parent


def test_values_labels_and_origin(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", ROWS)
    manifest = ingest(problem(tmp_path), tmp_path / "out")
    assert rows(tmp_path / "out") == [
        (0, 1, 2, "b", [], None, 0, 0),
        (0, 3, 1, None, ["x"], 2.0, 1, 0),
        (0, 0, 1, "a", ["x", "y"], 1.5, 1, 1),
        (0, 2, 2**63 - 1, "a", None, None, 1, None),
    ]
    assert list(manifest["days"]) == ["2022-05-01", "2022-05-02", "2022-05-03"]
    assert manifest["days"]["2022-05-03"] == {
        "rows": 2, "labels": {"clicked": {"positives": 2, "nulls": 0},
                              "converted": {"positives": 1, "nulls": 1}},
    }
    assert manifest["columns"]["converted"] == "TINYINT"
    assert manifest["warnings"] == []


def test_examples_are_compressed_so_that_they_are_read_soon(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", ROWS)
    ingest(problem(tmp_path), tmp_path / "out")
    groups = [pq.read_metadata(file).row_group(0) for file in (tmp_path / "out").rglob("*.parquet")]
    assert {group.column(0).compression for group in groups} == {"LZ4"}


def test_files_come_in_order_and_count_their_rows(tmp_path: Path) -> None:
    for number in (2, 1):
        write(tmp_path / f"log{number}.parquet", {**ROWS, "user": [number] * 4})
    manifest = ingest(problem(tmp_path), tmp_path / "out")
    assert [Path(s["path"]).name for s in manifest["sources"]] == ["log1.parquet", "log2.parquet"]
    assert [s["rows"] for s in manifest["sources"]] == [4, 4]
    assert rows(tmp_path / "out", "_file", "_row", "user")[-4:] == [
        (0, 0, 1), (0, 2, 1), (1, 0, 2), (1, 2, 2)
    ]


def test_where_keeps_rows_and_their_numbers(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", ROWS)
    made = problem(tmp_path, data={
        "impressions": {"path": "log.parquet", "day": "day", "where": "click = 1 and item is not null"},
    })
    ingest(made, tmp_path / "out")
    assert rows(tmp_path / "out", "_row") == [(0,), (2,)]


def test_side_tables_join_and_strangers_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", ROWS)
    write(tmp_path / "users.parquet", {"user": pa.array([1, 2], pa.int32()), "age": [30.0, None]})
    made = problem(
        tmp_path, data={"joins": [{"path": "users.parquet", "on": "user", "side": "user"}]},
        features={"a*": {"kind": "categorical"}},
    )
    manifest = ingest(made, tmp_path / "out")
    assert rows(tmp_path / "out", "user", "age") == [(2, None), (1, 30), (1, 30), (2**63 - 1, None)]
    assert manifest["columns"]["age"] == "BIGINT"
    assert "1 impressions have no row" in manifest["warnings"][0]


def test_side_table_with_two_keys(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", ROWS)
    write(tmp_path / "pairs.parquet", {"user": [1, 1], "item": ["a", "b"], "rank": [7, 8]})
    made = problem(
        tmp_path, data={"joins": [{"path": "pairs.parquet", "on": ["user", "item"]}]},
        features={"rank": {"kind": "numeric"}},
    )
    ingest(made, tmp_path / "out")
    assert [r for (r,) in rows(tmp_path / "out", "rank")] == [None, None, 7.0, None]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([20220503], "2022-05-03"), (["2022-05-03"], "2022-05-03"), (["20220503"], "2022-05-03"),
        ([date(2022, 5, 3)], "2022-05-03"), ([datetime(2022, 5, 3, 23)], "2022-05-03"),
    ],
)
def test_day_columns(tmp_path: Path, values: list[Any], expected: str) -> None:
    write(tmp_path / "log.parquet", {"day": values, "x": [1], "y": [1]})
    made = problem(tmp_path, labels={"l": "y"}, features={"x": {"kind": "categorical"}},
                   tasks={"t": {"label": "l"}}, data={"keys": []})
    assert list(ingest(made, tmp_path / "out")["days"]) == [expected]


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_integer_times_and_the_day_in_the_zone(tmp_path: Path, unit: str, factor: int) -> None:
    seconds = 1651507200  # 2022-05-02 16:00 UTC, midnight in Shanghai
    write(tmp_path / "log.parquet", {"t": [seconds * factor, (seconds - 1) * factor], "x": [1, 2],
                                     "y": [1, 0]})
    made = _timed(tmp_path, unit=unit)
    assert list(ingest(made, tmp_path / "out")["days"]) == ["2022-05-02", "2022-05-03"]
    assert rows(tmp_path / "out", "_time") == [
        (datetime(2022, 5, 2, 15, 59, 59),), (datetime(2022, 5, 2, 16),)
    ]


def test_timestamps_with_a_zone_move_to_utc(tmp_path: Path) -> None:
    times = pa.array([1651507200], pa.timestamp("s", "Asia/Tokyo"))
    write(tmp_path / "log.parquet", {"t": times, "x": [1], "y": [1]})
    ingest(_timed(tmp_path), tmp_path / "out")
    assert rows(tmp_path / "out", "_time") == [(datetime(2022, 5, 2, 16),)]


def _timed(root: Path, **options: str) -> Any:
    impressions = {"path": "log.parquet", "time": "t", "zone": "Asia/Shanghai", **options}
    return problem(root, labels={"l": "y"}, features={"x": {"kind": "categorical"}},
                   tasks={"t": {"label": "l"}}, data={"keys": [], "impressions": impressions})


def test_kinds_of_columns(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", {
        "day": [20220503], "flag": [True], "whole": [3.0], "born": [date(2000, 1, 2)],
        "ids": [[1, 2]], "floats": pa.array([[1.0, None]]), "words": [["a"]],
        "vec": pa.array([[0.5, 1.5]], pa.list_(pa.float32(), 2)),
        "n": pa.array([7], pa.uint8()), "void": pa.array([None], pa.null()), "w": [2], "y": [0.25],
    })
    made = problem(
        tmp_path, labels={"spend": "y"}, tasks={"t": {"label": "spend", "type": "regression"}},
        data={"keys": [], "weight": "w"},
        features={
            **{c: {"kind": "categorical"} for c in ("flag", "whole", "born", "void")},
            "ids": {"kind": "bag"}, "floats": {"kind": "history"}, "words": {"kind": "bag"},
            "vec": {"kind": "vector", "size": 2}, "n": {"kind": "numeric"},
            "again": {"kind": "numeric", "column": "whole"},
        },
    )
    manifest = ingest(made, tmp_path / "out")
    assert rows(tmp_path / "out", "_weight", "flag", "whole", "born", "ids", "floats", "words", "vec",
                "n", "spend") == [
        (2.0, 1, 3, "2000-01-02", [1, 2], [1, None], ["a"], [0.5, 1.5], 7.0, 0.25)
    ]
    kinds = manifest["columns"]
    assert [kinds[c] for c in ("born", "ids", "words", "vec", "spend")] == [
        "VARCHAR", "BIGINT[]", "VARCHAR[]", "FLOAT[]", "DOUBLE"
    ]
    assert manifest["warnings"] == ["the column 'void' has no value in any row"]


def test_the_same_files_and_settings_are_not_read_twice(tmp_path: Path) -> None:
    log = write(tmp_path / "log.parquet", ROWS)
    first = ingest(problem(tmp_path), tmp_path / "out")
    stamp = (tmp_path / "out" / "manifest.json").stat().st_mtime_ns
    moved = problem(tmp_path, data={"split": {"valid": "2022-05-01", "test": "2022-05-02"}})
    assert ingest(moved, tmp_path / "out") == first
    assert (tmp_path / "out" / "manifest.json").stat().st_mtime_ns == stamp
    write(log, {name: column[:3] for name, column in ROWS.items()})
    assert sum(d["rows"] for d in ingest(problem(tmp_path), tmp_path / "out")["days"].values()) == 3


KILLED = """
import os, signal, sys
from contextlib import contextmanager
from pathlib import Path
from recmtl.data.ingest import ingest
from recmtl.progress import Progress
from tests.data.made_log import problem

class Killer(Progress):
    @contextmanager
    def track(self, total, what):
        yield lambda n: os.kill(os.getpid(), signal.SIGKILL)

root = Path(sys.argv[1])
ingest(problem(root), root / "out", Killer(visible=False))
"""


def test_a_killed_ingest_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", ROWS)
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    ingest(problem(tmp_path), tmp_path / "out")
    assert len(rows(tmp_path / "out")) == 4
    assert not (tmp_path / ".out.tmp").exists()


def test_kuairand_agrees_with_polars(logs: Path, tmp_path: Path) -> None:
    experiment = Experiment.read(ROOT / "configs" / "kuairand.toml")
    manifest = ingest(experiment, tmp_path / "out")
    days = manifest["days"]
    assert (min(days), max(days), len(days)) == ("2022-04-25", "2022-05-04", 10)
    assert sum(d["rows"] for d in days.values()) == 171671
    assert not manifest["warnings"]
    log = pl.concat([pl.read_parquet(s["path"]).with_columns(_file=n).with_row_index("_row")
                     for n, s in enumerate(manifest["sources"])])
    videos = pl.read_parquet(logs / "kuairand_pure" / "video_features_basic.parquet")
    users = pl.read_parquet(logs / "kuairand_pure" / "user_features.parquet")
    expected = log.join(videos, on="video_id", how="left").join(users, on="user_id", how="left").select(
        pl.col("_file").cast(pl.Int64), pl.col("_row").cast(pl.Int64), "user_id",
        pl.col("is_click").cast(pl.Int64),
        (pl.col("is_click") * pl.col("long_view")).cast(pl.Int64).alias("converted"),
        "author_id", pl.col("onehot_feat4").cast(pl.Int64), pl.col("tag").str.split(","),
        pl.from_epoch("time_ms", time_unit="ms").cast(pl.Datetime("us")).alias("_time"),
        pl.col("date").cast(pl.String).str.to_date("%Y%m%d").alias("dt"),
    ).sort("dt", "_file", "_row")
    examples = Examples.open(tmp_path / "out")
    names = ["_file", "_row", "user_id", "click", "converted", "author_id", "onehot_feat4", "tag",
             "_time", "dt"]
    found = rows(tmp_path / "out", *names)
    assert abs(sum(row[3] for row in found) / len(found) - 0.44) < 0.005
    assert found == expected.rows()
    assert len(rows(tmp_path / "out", "_row", part="test", split=experiment.data.split)) == 17600
    forbidden = {"is_click", "long_view", "play_time_ms", "profile_stay_time", "is_like"}
    assert not forbidden & examples.features.keys()


def test_a_day_of_empty_lists_or_nulls_fits_the_other_days(tmp_path: Path) -> None:
    """A file written on such a day does not know of what its lists would be."""
    lists = {"full": [[1, 2], [3], [], None], "empty": [[], [], [], None], "null": [None] * 4}
    for number, (name, values) in enumerate(lists.items()):
        seen = pa.array(values, pa.list_(pa.null())) if name == "empty" else pa.array(values)
        write(tmp_path / f"log{number}.parquet", {**ROWS, "seen": seen})
    features = {"seen": {"kind": "history"}, "user": {"kind": "categorical"}}
    ingest(problem(tmp_path, features=features), tmp_path / "out")
    assert Examples.open(tmp_path / "out").columns["seen"] == "BIGINT[]"
    found = [seen for (seen,) in rows(tmp_path / "out", "seen") if seen]
    assert sorted(found) == [[1, 2], [3]]


@pytest.mark.parametrize(("unit", "scale"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("kind", [pa.float64(), pa.decimal128(38, 3)])
def test_a_time_with_a_fraction_is_never_moved_forward(
    tmp_path: Path, unit: str, scale: int, kind: pa.DataType
) -> None:
    """A quarter of a second before midnight is no part of the next day."""
    before = int(datetime(2022, 5, 2, tzinfo=UTC).timestamp()) * 4 - 1
    times = pa.array([before * scale / 4], pa.float64()).cast(kind)
    write(tmp_path / "log.parquet", {"user": [1], "t": times, "y": [1]})
    source = {"path": "log.parquet", "time": "t", "unit": unit, "zone": "UTC"}
    made = problem(tmp_path, data={"impressions": source}, labels={"l": "y"},
                   features={"user": {"kind": "categorical"}}, tasks={"t": {"label": "l"}})
    ingest(made, tmp_path / "out")
    assert rows(tmp_path / "out", "_time") == [(datetime(2022, 5, 1, 23, 59, 59, 750_000),)]
