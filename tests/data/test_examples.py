"""Opened examples: parts, columns and their order."""

from pathlib import Path

import pytest

from recmtl.data.examples import Examples
from recmtl.data.ingest import ingest
from recmtl.data.rates.write import write_rates
from recmtl.data.selection import select
from recmtl.errors import RecmtlError
from recmtl.schema import Bag, HashSplit
from tests.data.made_log import ROWS, problem, rows, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "log.parquet", ROWS)
    ingest(problem(tmp_path), tmp_path / "examples")
    return tmp_path / "examples"


def test_parts_hold_their_days_in_order(folder: Path) -> None:
    split = problem(folder).data.split
    assert rows(folder, "_row", part="train", split=split) == [(1,)]
    assert rows(folder, "_row", part="valid", split=split) == [(3,)]
    assert rows(folder, "_row", part="test", split=split) == [(0,), (2,)]
    assert [row for (row,) in rows(folder, "_row")] == [1, 3, 0, 2]


def test_features_and_columns(folder: Path) -> None:
    examples = Examples.open(folder)
    assert examples.features["tags"] == Bag(separator=",")
    assert examples.columns["user"] == "BIGINT"
    assert [str(d) for (d,) in rows(folder, "dt")] == [
        "2022-05-01", "2022-05-02", "2022-05-03", "2022-05-03"
    ]


def test_unknown_column_and_part_are_refused(folder: Path) -> None:
    with pytest.raises(RecmtlError, match="did you mean 'price'"):
        select(Examples.open(folder), columns=["prise"])
    with pytest.raises(ValueError, match="give a split"):
        select(Examples.open(folder), part="train")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RecmtlError, match="no finished folder"):
        Examples.open(tmp_path / "nothing")


def test_examples_can_be_moved(folder: Path) -> None:
    moved = folder.rename(folder.with_name("moved"))
    assert len(rows(moved)) == 4


@pytest.mark.parametrize("name", ["dt=2030-01-01/user=7", "clicked=9/a[1]"])
def test_the_folders_above_say_nothing(tmp_path: Path, name: str) -> None:
    """Neither columns of their names nor patterns: the same rows, counts and rates as elsewhere."""
    write(tmp_path / "log.parquet", ROWS)
    rate = {"kind": "rate", "of": ["user"], "label": "clicked", "prior": 1}
    made = problem(tmp_path, features={"user": {"kind": "categorical"}, "rate": rate})
    found = []
    for out in (tmp_path / "plain", tmp_path / name, tmp_path / name.replace("[1]", "1")):
        manifest = ingest(made, out / "examples")
        write_rates(made, Examples.open(out / "examples"), out / "rates")
        read = [rows(out / "examples", "dt", "user", "clicked", "rate", "_row", part=part, split=split)
                for part, split in ((None, None), ("valid", made.data.split))]
        found.append((read, manifest["days"], manifest["warnings"]))
    assert found[1] == found[2] == found[0]
    assert [str(row[0]) for row in found[0][0][1]] == ["2022-05-02"]


def test_without_days_a_hash_splits(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", {**ROWS, "visit": [10, 11, 12, 13]})
    split = HashSplit(hash=("visit",), valid=0.3, test=0.3)
    made = problem(tmp_path, data={"impressions": {"path": "log.parquet"}, "split": split})
    manifest = ingest(made, tmp_path / "examples")
    assert manifest["days"]["undated"]["rows"] == 4
    found = [r for part in ("train", "valid", "test")
             for r in rows(tmp_path / "examples", "visit", part=part, split=split)]
    assert sorted(found) == [(10,), (11,), (12,), (13,)]
