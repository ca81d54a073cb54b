"""Impressions logged twice: kept, or counted once, the first of them."""

import shutil
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest

from recmtl.data.ingest import ingest
from recmtl.experiment import Experiment
from recmtl.schema import Problem
from tests.data.made_log import problem, rows, write

ROOT = Path(__file__).parent.parent.parent
NOON = 1651579200  # 2022-05-03 12:00 UTC


def made(root: Path, **impressions: Any) -> Problem:
    return problem(
        root, labels={"l": "y"}, features={"x": {"kind": "categorical"}}, tasks={"t": {"label": "l"}},
        data={"keys": ["user"], "impressions": {
            "path": "log*.parquet", "time": "t", "unit": "s", "zone": "UTC", "duplicates": "drop",
            **impressions,
        }},
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "log1.parquet", {
        "id": ["a", "b", "c", None, None], "user": [1, 2, 1, 3, 3], "x": [1, 2, 1, 3, 3],
        "t": [NOON + 5, NOON, NOON + 5, NOON, NOON], "y": [1, 0, 1, 0, 0], "more": [[1]] * 5,
    })
    write(tmp_path / "log2.parquet", {
        "id": ["a", "b", "a"], "user": [1, 2, 1], "x": [1, 9, 1],
        "t": [NOON + 4, NOON, NOON + 86_400], "y": [1, 0, 1], "more": [[1]] * 3,
    })
    return tmp_path


def test_without_an_id_rows_equal_in_every_column_count_once(root: Path) -> None:
    """a and c of file 1 differ in their id alone, b of both files in x; the nulls are equal."""
    manifest = ingest(made(root), root / "out")
    assert rows(root / "out", "_file", "_row") == [
        (0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2)
    ]
    assert manifest["warnings"][0].startswith("data.impressions: 1 rows were dropped")
    assert manifest["dropped"] == {"where": 0, "repeated": 1, "after_as_of": 0}
    assert sum(day["rows"] for day in manifest["days"].values()) == 7


def test_of_rows_with_one_id_the_first_counts(root: Path) -> None:
    """The earliest a stands in the second file, the last one alone on the next day, which is none then;
    a row without an id repeats none."""
    manifest = ingest(made(root, id="id"), root / "out")
    assert rows(root / "out", "_file", "_row") == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 0)]
    assert "3 rows were dropped, as each repeats an earlier one with the same id" in (
        manifest["warnings"][0]
    )
    assert list(manifest["days"]) == ["2022-05-03"]


def test_an_id_that_turns_up_on_an_earlier_day_takes_the_later_one_out(tmp_path: Path) -> None:
    """Increments: the later day is written anew when the holder comes, and again when it goes."""

    def day(number: int, ids: list[str]) -> None:
        write(tmp_path / f"log{number}.parquet", {
            "id": ids, "user": [1] * len(ids), "x": [1] * len(ids), "y": [1] * len(ids),
            "t": [NOON + 86_400 * number + n for n in range(len(ids))],
        })

    def ids() -> list[str]:
        ingest(one, tmp_path / "out")
        found = rows(tmp_path / "out", "id")
        ingest(one, tmp_path / "anew")
        assert rows(tmp_path / "anew", "id") == found
        shutil.rmtree(tmp_path / "anew")
        return [name for (name,) in found]

    one = made(tmp_path, id="id")
    day(2, ["a", "b"])
    day(3, ["c", "a"])
    assert ids() == ["a", "b", "c"]
    day(1, ["b", "d"])
    assert ids() == ["b", "d", "a", "c"]
    day(1, ["a", "d"])
    assert ids() == ["a", "d", "b", "c"]
    (tmp_path / "log1.parquet").unlink()
    (tmp_path / "log2.parquet").unlink()
    assert ids() == ["c", "a"]


def test_rows_that_are_not_kept_repeat_nothing(root: Path) -> None:
    manifest = ingest(made(root, id="id", where="x = 9 or y = 0"), root / "out")
    assert rows(root / "out", "_file", "_row") == [(0, 1), (0, 3), (0, 4)]
    assert manifest["dropped"] == {"where": 4, "repeated": 1, "after_as_of": 0}


def test_they_are_kept_unless_the_file_says_otherwise(root: Path) -> None:
    manifest = ingest(made(root, duplicates="keep"), root / "out")
    assert len(rows(root / "out")) == 8
    assert manifest["dropped"] == {"where": 0, "repeated": 0, "after_as_of": 0}


def test_a_log_without_days_and_keys(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", {"x": [1, 1, 2, 1], "y": [0, 1, 0, 0]})
    one = made(tmp_path).model_dump(exclude_unset=True)
    one["data"] |= {
        "keys": [], "split": {"hash": ["x"], "valid": 0.1, "test": 0.1},
        "impressions": {"path": "log.parquet", "duplicates": "drop"},
    }
    ingest(Problem.model_validate({**one, "root": tmp_path}), tmp_path / "out")
    assert rows(tmp_path / "out", "_row") == [(0,), (1,), (2,)]


@pytest.mark.duckdb(reason="how little memory DuckDB needs for a million rows")
def test_all_rows_repeated_with_little_memory(tmp_path: Path) -> None:
    duckdb.execute(
        "COPY (SELECT i % 500_000 AS id, 1 AS user, i%7 AS x, ? AS t, 1 AS y FROM range(1_000_000) r(i))"
        f" TO '{tmp_path / 'log.parquet'}'", [NOON],
    )
    one = made(tmp_path, id="id").model_dump(exclude_unset=True)
    one["data"]["memory_limit"] = "150MB"
    assert ingest(Problem.model_validate({**one, "root": tmp_path}), tmp_path / "out")["dropped"] == {
        "where": 0, "repeated": 500_000, "after_as_of": 0
    }


def test_kuairands_repeats(logs: Path, tmp_path: Path) -> None:
    """4,390 of its rows are equal to another; polars finds the same."""
    whole = Experiment.read(ROOT / "configs" / "kuairand.toml")
    one = whole.model_dump(exclude_unset=True, include=set(Problem.model_fields))
    one["data"]["impressions"]["duplicates"] = "drop"
    manifest = ingest(Problem.model_validate({**one, "root": whole.root}), tmp_path / "out")
    log = pl.concat([pl.read_parquet(source["path"]) for source in manifest["sources"]])
    unique = log.unique()
    assert len(log) - len(unique) == manifest["dropped"]["repeated"]
    assert len(rows(tmp_path / "out", "_row")) == len(unique)
    assert pa.table(unique.select(pl.col("is_click").sum())).to_pylist() == [
        {"is_click": sum(click for (click,) in rows(tmp_path / "out", "click"))}
    ]
