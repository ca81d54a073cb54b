"""What a run of ingest says of the days that it may write, and of the files that made it write."""

import logging
from datetime import date
from pathlib import Path

import pytest

from recmtl.data.increments.days import Window
from recmtl.data.ingest import ingest
from recmtl.errors import RecmtlError
from recmtl.schema import Problem
from tests.data.made_log import ROWS, problem, write

BEYOND = Window(date(2022, 6, 1))
THERE = "the log has no day from 2022-06-01 to …; it has those from 2022-05-01 to 2022-05-03"


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "recmtl")
    return caplog


def parted(root: Path) -> Problem:
    return problem(root, data={"impressions": {"path": "log", "day": "day"}})


def put(root: Path, country: str, rows: int = 4) -> None:
    folder = root / "log" / f"country={country}"
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "part.parquet", {name: values[:rows] for name, values in ROWS.items()})


def test_days_beyond_the_log_are_refused_where_nothing_stands(tmp_path: Path) -> None:
    put(tmp_path, "de")
    with pytest.raises(RecmtlError, match=f"--from, --to: no rows to keep[^§]*{THERE}"):
        ingest(parted(tmp_path), tmp_path / "out", window=BEYOND)


def test_days_beyond_the_log_are_told_where_examples_stand(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    """Whether a file is new or nothing has changed: no day that was asked for is written."""
    put(tmp_path, "de")
    ingest(parted(tmp_path), tmp_path / "out")
    assert not [message for message in said.messages if "warning" in message]
    for change in (lambda: None, lambda: put(tmp_path, "fr")):
        change()
        said.clear()
        ingest(parted(tmp_path), tmp_path / "out", window=BEYOND)
        assert f"warning: {THERE}" in said.messages


def test_reasons_name_files_with_their_partitions_folders(
    tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "de")
    put(tmp_path, "fr")
    ingest(parted(tmp_path), tmp_path / "out")
    said.clear()
    put(tmp_path, "fr", rows=1)
    ingest(parted(tmp_path), tmp_path / "out")
    changed = "rows written: files changed: country=fr/part.parquet"
    assert [m for m in said.messages if m.startswith("2022-05-03") and m.endswith(changed)]
