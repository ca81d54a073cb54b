"""The study of two sources on a few rows of each day: each label of its own users, and a line a way."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.studies import balancing, two_sources
from recmtl.data.examples import Examples
from tests.studies.test_balancing import few_rows  # noqa: F401


@pytest.mark.usefixtures("few_rows")
def test_the_study_runs_to_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balancing, "EPOCHS", 1)
    monkeypatch.setattr(two_sources, "WEIGHTS", (1.0,))
    found = two_sources.study(tmp_path / "out", 2)
    rows = pq.read_table(tmp_path / "out" / "log").to_pandas()
    assert np.array_equal(rows["is_click"].notna(), rows["user_id"] % 2 == 0)
    assert np.array_equal(rows["play_time_ms"].notna(), rows["user_id"] % 2 == 1)
    assert max(Examples.open(tmp_path / "out" / "examples").manifest["days"]) == "2022-05-03"
    text = two_sources.text(found)
    ways = [line.split(" | ")[0] for line in text.splitlines()[2:]]
    assert ways == ["| alone", "| joint-1", "| turns-1"]
    assert two_sources.text(found).splitlines()[-1].endswith("+0.00 (+0.00 to +0.00) |")
