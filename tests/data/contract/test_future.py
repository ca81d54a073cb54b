"""Times that have not been: counted and reported, whether they are left out by as_of or not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recmtl.data import contract
from recmtl.data.ingest import ingest
from recmtl.errors import RecmtlError
from recmtl.folder import read_manifest
from tests.data.contract.made_days import DAYS, ROWS, day, found, problem, write

YEAR = 365 * 86_400_000


def made(root: Path, ahead: int, years: float = 20, **data: Any) -> contract.Report:
    """The report on a log of which some rows of the second day are so many years ahead."""
    days = {name: day(name) for name in DAYS}
    days[DAYS[1]]["time"][:ahead] += int(years * YEAR)
    write(root, days)
    one = problem(root, data=data)
    ingest(one, root / "examples")
    return contract.check(one, root / "examples", root / "contract")


def test_without_as_of_rows_later_than_now_are_found(tmp_path: Path) -> None:
    assert found(made(tmp_path, 20), "future") == [
        ("warning", "20 of 8,000 (0.25 %) are later than now"),
    ]
    with pytest.raises(RecmtlError, match=r"future of impressions: 200 of 8,000 \(2\.5 %\)"):
        made(tmp_path, 200)


@pytest.mark.parametrize("years", [20, 0.5])  # later than now, and half a year behind all others
def test_what_as_of_leaves_out_far_behind_it_is_a_clock(tmp_path: Path, years: float) -> None:
    report = made(tmp_path, 20, years, as_of="2024-01-05")
    ((level, text),) = found(report, "future")
    assert level == "warning" and text.startswith("20 of 8,000 (0.25 %)") and "left out" in text
    manifest = read_manifest(tmp_path / "examples")
    assert manifest["dropped"] == {"where": 0, "repeated": 0, "after_as_of": 20}
    with pytest.raises(RecmtlError, match="future of impressions: 200 of"):
        made(tmp_path, 200, years, as_of="2024-01-05")


def test_a_past_as_of_leaves_out_what_came_since_by_intent(tmp_path: Path) -> None:
    report = made(tmp_path, 0, as_of="2024-01-03T00:00:20")
    late = int((day(DAYS[2])["time"] > 1_704_240_020_000).sum())
    assert found(report, "future") == [
        ("note", f"{ROWS + late:,} rows come after as_of and are left out"),
    ]
    later = read_manifest(tmp_path / "examples")["later"]
    assert later == {"after_as_of": {DAYS[2]: late, DAYS[3]: ROWS}, "ahead": {}}


def test_events_later_than_now(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    times = day(DAYS[0])["time"][:300] + np.where(np.arange(300) < 9, 20 * YEAR, 1000)
    (tmp_path / "tap").mkdir()
    write(tmp_path / "tap", {DAYS[0]: {"user": day(DAYS[0])["user"][:300], "time": times}})
    tap = {"path": "tap/log/*.parquet", "time": "time", "unit": "ms", "on": "user", "window": "1 day"}
    for as_of in ({}, {"as_of": "2024-01-05"}):
        with pytest.raises(RecmtlError, match=r"future of tap: 9 of 300 \(3 %\) are later than now"):
            made(tmp_path, 0, events={"tap": tap}, **as_of)
