"""NaN is null, also where a file's statistics hide it: Parquet's writers leave it out of them."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from recmtl.data.ingest import ingest
from recmtl.errors import RecmtlError
from tests.data.made_log import problem, rows, write

NAN, INFINITE = float("nan"), float("inf")
FEATURES = {"user": {"kind": "categorical"}, "seen": {"kind": "bag"}, "price": {"kind": "numeric"}}
COLUMNS = {
    "day": [20220501] * 4, "click": [0, 1, 0, 1], "bought": [0, 0, 0, 1], "user": [1.0, NAN, 3.0, 4.0],
    "seen": [[1.0, NAN], [2.0], [], [3.0, 1.0]], "price": [NAN, 0.5, NAN, 2.5],
}


def test_nan_is_null(tmp_path: Path) -> None:
    file = write(tmp_path / "log.parquet", COLUMNS)
    group = pq.read_metadata(file).row_group(0)
    assert group.column(group.num_columns - 1).statistics.max == 2.5
    ingest(problem(tmp_path, features=FEATURES), tmp_path / "examples")
    assert rows(tmp_path / "examples", "user", "seen", "price") == [
        (1, [1, None], None), (None, [2], 0.5), (3, [], None), (4, [3, 1], 2.5),
    ]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("price > 1", [None, 0, None, 1]), ("not price < 1", [None, 0, None, 1]),
        ("price is null", [1, 0, 1, 0]), ("click and price > 1", [0, 0, 0, 1]),
        ("price in (0.5)", [None, 1, None, 0]),
    ],
)
def test_nan_is_null_in_comparisons(tmp_path: Path, label: str, expected: list[int | None]) -> None:
    """By SQL's own order NaN would be greater than every number: a click that nobody saw."""
    write(tmp_path / "log.parquet", COLUMNS)
    features = {"user": {"kind": "categorical"}}
    ingest(problem(tmp_path, features=features, labels={"clicked": label}), tmp_path / "examples")
    assert [value for (value,) in rows(tmp_path / "examples", "clicked")] == expected


def test_nan_meets_no_condition(tmp_path: Path) -> None:
    write(tmp_path / "log.parquet", COLUMNS)
    kept = {"impressions": {"path": "log.parquet", "day": "day", "where": "price > 0"}}
    ingest(problem(tmp_path, features=FEATURES, data=kept), tmp_path / "examples")
    assert rows(tmp_path / "examples", "price") == [(0.5,), (2.5,)]


@pytest.mark.parametrize("wrong", [INFINITE, -INFINITE])
def test_infinite_values_are_refused(tmp_path: Path, wrong: float) -> None:
    write(tmp_path / "log.parquet", {**COLUMNS, "price": [NAN, 0.5, wrong, 2.5]})
    with pytest.raises(RecmtlError, match="'price' is infinite in 1 rows"):
        ingest(problem(tmp_path, features=FEATURES), tmp_path / "examples")
    write(tmp_path / "log.parquet", {**COLUMNS, "user": [1.0, NAN, wrong, 4.0]})
    with pytest.raises(RecmtlError, match="'user' is not a whole number"):
        ingest(problem(tmp_path, features=FEATURES), tmp_path / "examples")
