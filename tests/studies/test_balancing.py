"""The balancing study on a few rows of each day: never the file's test day, and a line a way."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.studies import balancing
from recmtl.data.examples import Examples


def test_the_gain_is_the_mean_part_by_which_losses_fall() -> None:
    alone = {"auc": 0.7, "logloss": 0.5, "rmse": 200.0}
    found = {"auc": 0.7, "logloss": 0.45, "rmse": 210.0}
    assert balancing.gain(found, alone) == pytest.approx((0.1 - 0.05) / 2, abs=1e-12)


@pytest.fixture
def few_rows(logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the first rows of each day's file."""
    whole, part = (folder / "kuairand_pure" for folder in (logs, tmp_path))
    (part / "log").mkdir(parents=True)
    for side in whole.glob("*.parquet"):
        shutil.copyfile(side, part / side.name)
    for day in (whole / "log").glob("*.parquet"):
        pq.write_table(pq.read_table(day).slice(0, 400), part / "log" / day.name)
    monkeypatch.setenv("RECMTL_DATA", str(tmp_path))


def test_the_study_runs_to_its_tables(
    few_rows: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balancing, "GRID", (1.0,))
    monkeypatch.setattr(balancing, "WAYS", {way: balancing.WAYS[way] for way in ("fixed", "uncertainty")})
    monkeypatch.setattr(balancing, "EPOCHS", 1)
    grid, found = balancing.study(tmp_path / "out", 2)
    days = Examples.open(tmp_path / "out" / "examples").manifest["days"]
    assert max(days) == "2022-05-03"
    assert set(grid) == {"fixed", "uncertainty"}
    text = balancing.tables(grid, found)
    for way in ("fixed", "uncertainty, 1", "alone"):
        assert f"\n| {way} | " in text
    assert balancing.gains(found, "alone").tolist() == [0.0, 0.0]
