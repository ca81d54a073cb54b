"""Rows of examples read without SQL: the same rows, in the same parts, as SQL gives."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recmtl.data.duck import connect
from recmtl.data.examples import PART, Examples
from recmtl.data.ingest import ingest
from recmtl.data.selection import select_parts
from recmtl.data.split import hashes
from recmtl.data.unqueried import needs_no_sql, read
from recmtl.errors import RecmtlError
from recmtl.schema import Data, HashSplit, Problem, Split

N = 4000
LOG = {"impressions": {"path": "log-*.parquet", "time": "ts", "zone": "America/New_York"}}
FEATURES = {"item": {"kind": "categorical"}, "word": {"kind": "categorical"}, "x": {"kind": "numeric"}}
COLUMNS = ["item", "word", "x", "click"]
SPLITS: dict[str, dict[str, Any]] = {
    "days": {"valid": "2024-01-03", "test": "2024-01-04"},
    "days with ends": {"start": "2024-01-02", "valid": "2024-01-03", "test": "2024-01-04",
                       "end": "2024-01-04"},
    "times": {"valid": "2024-01-03T06:00:00", "test": "2024-01-03T18:00:01"},
    "times with ends": {"start": "2024-01-02T07:00:00", "valid": "2024-01-03T06:00:00",
                        "test": "2024-01-04", "end": "2024-01-04"},
    "files": {"files": {"train": "log-0*", "valid": "log-1*", "test": "log-2*"}},
    "files, cut": {"files": {"train": "log-[01]*", "test": "log-2*", "valid_fraction": 0.2}},
    "files, test cut": {"files": {"train": "log-0*", "test": "log-2*", "valid_from": "test",
                                  "valid_fraction": 0.3}},
    "hash": {"hash": ["item", "word"], "valid": 0.2, "test": 0.1},
    "hash of text": {"hash": ["word"], "valid": 0.5, "test": 0.25},
}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """Rows of five days in four files of 1,000, with nulls, words of many lengths and large ids."""
    folder = tmp_path_factory.mktemp("log")
    rng = np.random.default_rng(2)
    some = rng.random(N) < 0.1
    words = [("é|=\x1f-" * 30)[: int(n)] for n in rng.integers(0, 130, N)]
    table = pa.table({
        "ts": np.datetime64("2024-01-01T12:00", "s") + np.sort(rng.integers(0, 4 * 86_400, N)),
        "item": pa.array(rng.integers(-(2**63), 2**63 - 1, N), mask=some),
        "word": pa.array(words, mask=some[::-1]), "x": rng.normal(size=N),
        "click": rng.integers(0, 2, N),
    })
    for number in range(4):
        pq.write_table(table.slice(number * 1000, 1000), folder / f"log-{number}.parquet")
    problem = Problem.model_validate({
        "name": "made", "root": folder, "data": {**LOG, "split": SPLITS["days"]}, "features": FEATURES,
        "labels": {"click": "click"}, "tasks": {"ctr": {"label": "click"}},
    })
    ingest(problem, folder / "examples")
    return Examples.open(folder / "examples")


def split_of(name: str) -> Split:
    return Data.model_validate({**LOG, "split": SPLITS[name]}).split


def whole(tables: Iterator[pa.Table]) -> list[tuple[Any, ...]]:
    rows = (zip(*(table[name].to_pylist() for name in [PART, *COLUMNS]), strict=True) for table in tables)
    return [row for some in rows for row in some if row[0] is not None]


@pytest.mark.parametrize("name", SPLITS)
def test_rows_and_parts_are_those_of_sql(
    name: str, examples: Examples, request: pytest.FixtureRequest
) -> None:
    split = split_of(name)
    if hashes(split):
        request.getfixturevalue("compiler")
    assert needs_no_sql(examples, split, COLUMNS)
    with closing(connect()) as db:
        batches = db.sql(select_parts(examples, split, COLUMNS)).to_arrow_reader(700)
        expected = whole(pa.Table.from_batches([batch]) for batch in batches)
    tables = [table for _, table in read(examples, split, COLUMNS, 700)]
    assert max(map(len, tables)) == 700
    assert whole(iter(tables)) == expected
    assert {row[0] for row in expected} == {"train", "valid", "test"}


def test_days_without_rows_of_a_part_are_passed_over(examples: Examples) -> None:
    rows = {name: sum(len(table) for _, table in read(examples, split_of(name), COLUMNS, 5000))
            for name in ("days", "days with ends", "times with ends")}
    assert rows["days"] == N
    assert rows["days with ends"] == sum(
        day["rows"] for name, day in examples.manifest["days"].items()
        if "2024-01-02" <= name <= "2024-01-04"
    )
    assert rows["days with ends"] < rows["times with ends"] <= N


def test_a_hash_of_numbers_is_left_to_sql(examples: Examples) -> None:
    """Each engine writes them in its own way."""
    split = HashSplit(hash=("item", "x"), valid=0.1, test=0.1)
    assert not needs_no_sql(examples, split, COLUMNS)


def test_a_file_that_is_cut_short_is_named(examples: Examples, tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    shutil.copytree(examples.folder, folder)
    file = next((folder / "dt=2024-01-02").glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(RecmtlError, match=file.name):
        list(read(Examples.open(folder), split_of("days"), COLUMNS, 700))
