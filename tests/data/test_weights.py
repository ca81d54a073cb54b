"""Weights of rows: the log's own, on train halved with every half-life of a row's age in days."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from recmtl.data.encoder import Encoder
from recmtl.data.settings_key import settings_key
from recmtl.data.sharding import write_shards
from recmtl.data.shards import Shards, shards_key
from recmtl.data.storage import blocks
from recmtl.data.unqueried import needs_no_sql
from recmtl.schema import Data, Problem
from recmtl.schema.features import inputs_of

# a row of a day each, two of the days with no row between them
DAYS = ["2024-01-01", "2024-01-13", "2024-01-15", "2024-01-15", "2024-01-16"]
WEIGHT = [3.0, 1.0, 1.0, 0.5, 8.0]
SPLIT = {"valid": "2024-01-15", "test": "2024-01-16"}
PLAIN = {"x": {"kind": "numeric", "transform": "none"}}
RATED = {**PLAIN, "rate": {"kind": "rate", "of": ["item"], "label": "click"}}
LOG = {"path": "log.parquet", "day": "day"}


def log(**columns: Any) -> pa.Table:
    made = {"day": DAYS, "item": range(5), "x": np.arange(5.0), "click": [1, 0, 1, 0, 1], "w": WEIGHT}
    return pa.table(made | columns)


def weights(problem: Problem, examples: Any, folder: Path) -> dict[str, list[float]]:
    """Part → the weight of each row, by its place in the log."""
    write_shards(problem, examples, Encoder.fit(problem, examples, 4), folder, 1)
    parts = {name: Shards.open(folder / name) for name in ("train", "valid", "test")}
    return {name: part.weight[np.argsort(part.origin[:, 1])].tolist() for name, part in parts.items()}


@pytest.mark.parametrize(
    ("features", "queried"), [(PLAIN, False), (PLAIN, True), (RATED, True)],
    ids=["read from files", "read by SQL", "joined by SQL"],
)
def test_a_train_row_counts_half_with_every_half_life(
    ingested: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    features: dict[str, Any], queried: bool,
) -> None:
    """By hand: 14 and 2 days before valid begins, halved each 7 days."""
    data = {"split": SPLIT, "half_life": "7 days", "weight": "w"}
    problem, examples = ingested(log(), features, data=data)
    columns = ["dt", *(c for n, f in examples.features.items() for c in inputs_of(n, f))]
    assert needs_no_sql(examples, problem.data.split, columns) == (features is PLAIN)
    if queried:
        monkeypatch.setattr(blocks, "needs_no_sql", lambda *_: False)
    found = weights(problem, examples, tmp_path / "shards")
    assert found["train"] == pytest.approx([3 * 0.25, 0.820335356], rel=1e-6)
    assert found["valid"] == [1.0, 0.5] and found["test"] == [8.0]


def test_a_split_by_time_counts_days_of_the_zone(ingested: Callable[..., Any], tmp_path: Path) -> None:
    """Valid begins on the 15th in Shanghai at 06:00, which is the 14th in UTC."""
    time = [np.datetime64(t, "ms") for t in (
        "2024-01-13T15:59", "2024-01-13T16:00", "2024-01-14T21:59", "2024-01-14T22:00", "2024-01-16T00:00"
    )]  # in Shanghai 13th 23:59, 14th 00:00, 15th 05:59, 15th 06:00, 16th
    data = {
        "impressions": {"day": None, "time": "at", "zone": "Asia/Shanghai"}, "half_life": "1 day",
        "split": {"valid": "2024-01-15T06:00:00", "test": "2024-01-16T00:00:00"},
    }
    problem, examples = ingested(log(at=pa.array(time, pa.timestamp("ms"))), PLAIN, data=data)
    found = weights(problem, examples, tmp_path / "shards")
    assert found == {"train": [0.25, 0.5, 1.0], "valid": [1.0], "test": [1.0]}


def test_a_day_of_the_log_s_own_behind_the_split_s_time_gains_nothing(
    ingested: Callable[..., Any], tmp_path: Path
) -> None:
    time = np.array(["2024-01-14", "2024-01-14", "2024-01-14", "2024-01-15", "2024-01-16"], "M8[ms]")
    data = {
        "impressions": {"time": "at", "zone": "UTC"}, "half_life": "1 day",
        "split": {"valid": "2024-01-15T00:00:00", "test": "2024-01-16T00:00:00"},
    }
    days = ["2024-01-14", "2024-01-15", "2024-01-20", "2024-01-20", "2024-01-21"]
    problem, examples = ingested(log(at=time, day=days), PLAIN, data=data)
    assert weights(problem, examples, tmp_path / "shards")["train"] == [0.5, 1.0, 1.0]


def test_files_that_do_not_name_it_keep_their_keys(ingested: Callable[..., Any]) -> None:
    problem, _ = ingested(log(), PLAIN, data={"split": SPLIT})
    assert "half_life" not in problem.model_dump(mode="json")["data"]
    keys, settings = [], []
    for half_life in (None, "7 days", "1 week", "8 days"):
        data = problem.data.model_copy(update={"half_life": half_life})
        named = problem.model_copy(update={"data": data})
        keys.append(shards_key(named, "examples", "encoder", 1))
        settings.append(settings_key(named))
    assert len(set(keys)) == 3 and keys[1] == keys[2]
    assert len(set(settings)) == 1, "examples and what is counted of them stay"


@pytest.mark.parametrize(("edits", "words"), [
    ({"half_life": 7}, r"half_life[\s\S]*7 is no duration[\s\S]*with its unit"),
    ({"half_life": "0 days"}, "'0 days' is no whole number of seconds from 1 second"),
    ({"half_life": "a week"}, "'a week' is no duration"),
    ({"half_life": "7 days", "split": {"hash": ["item"], "valid": 0.1, "test": 0.1}},
     "half_life: a row's age is counted back from the first day of valid.*: split by day or time, "),
    ({"half_life": "7 days", "impressions": {"path": "log.parquet"}},
     r"split by day needs impressions\.day"),
])
def test_it_is_refused_when_the_file_is_read(edits: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Data.model_validate({"impressions": LOG, "split": SPLIT, **edits})
