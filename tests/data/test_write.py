"""Days in parts: which rows go to which part, side by side or sorted, always in the order of the log."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recmtl.data import renewal
from recmtl.data.ingest import ingest
from recmtl.data.logs import side_by_side
from recmtl.data.logs.checks import Held
from recmtl.data.logs.write import in_order, pieces
from tests.data.daily_logs import day, impressions, problem, three_days


def held(**rows: int) -> dict[str, Held]:
    return {file: Held(count, 0, count - 1) for file, count in rows.items()}


def test_files_share_a_part_until_it_is_full(tmp_path: Path) -> None:
    made = pieces("2026-03-01", held(a=3, b=4, c=4, d=25, e=1), tmp_path, 10)
    assert [(p.files, p.first_row, p.last_row) for p in made] == [
        (("a", "b"), 0, 3), (("c",), 0, 3), (("d",), 0, 9), (("d",), 10, 19), (("d",), 20, 24),
        (("e",), 0, 0),
    ]
    assert [p.target.name for p in made[:2]] == ["part-00000.parquet", "part-00001.parquet"]


def test_a_file_of_many_days_gives_a_part_about_as_many_rows_of_one(tmp_path: Path) -> None:
    """Every second row from the hundredth on is of the day."""
    made = pieces("2026-03-01", {"a": Held(20, 100, 139)}, tmp_path, 10)
    assert [(p.first_row, p.last_row) for p in made] == [(100, 119), (120, 139)]


@pytest.mark.parametrize(
    ("file", "row", "expected"),
    [([0, 0, 1], [0, 3, 0], True), ([0, 0], [3, 3], False), ([0, 1, 0], [0, 0, 1], False),
     ([1, 0], [0, 0], False), ([], [], True)],
)
def test_order_is_seen(tmp_path: Path, file: list[int], row: list[int], expected: bool) -> None:
    schema = {"_file": pl.Int32, "_row": pl.Int64}
    pl.DataFrame({"_file": file, "_row": row}, schema=schema).write_parquet(tmp_path / "x.parquet")
    assert in_order(tmp_path / "x.parquet") is expected


def rows(out: Path) -> pl.DataFrame:
    """All rows as they lie there, part after part."""
    return pl.concat([pl.read_parquet(f) for f in sorted(out.glob("dt=*/*.parquet"))])


@pytest.mark.duckdb(reason="how many parts DuckDB makes of a day, and how; Spark decides on its own")
def test_every_way_of_writing_gives_the_same_rows_in_the_same_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_days(tmp_path)
    for number in range(6):
        impressions(tmp_path, 2, name=f"more-{number}.parquet", begin=10 + 4 * number)
    ingest(problem(tmp_path), tmp_path / "whole")
    monkeypatch.setattr(renewal, "SIZE", 3)
    ingest(problem(tmp_path), tmp_path / "parts")
    assert len(list((tmp_path / "parts" / f"dt={day(2)}").iterdir())) == 14
    monkeypatch.setattr(side_by_side, "in_order", lambda file: False)
    ingest(problem(tmp_path), tmp_path / "again")
    monkeypatch.setattr(side_by_side, "_LOOKED_UP", -1)
    ingest(problem(tmp_path), tmp_path / "sorted")
    whole = rows(tmp_path / "whole")
    assert len(whole) == 8 + 28
    for name in ("parts", "again", "sorted"):
        assert_frame_equal(rows(tmp_path / name), whole)
