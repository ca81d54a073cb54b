"""Maturity: labels are null by the impression's age alone, and later runs fill them in."""

from pathlib import Path
from typing import Any

import pytest

from recmtl.data.ingest import ingest
from recmtl.data.rates.horizon import horizon
from tests.data.events.made_events import CLICK, IMPRESSIONS, START, problem, write
from tests.data.made_log import rows

COLUMNS = ("_row", "clicked", "bought", "spent", "early")
ROWS = {"impression": [1, 2, 3, 4, 5], "user": [7, 7, 8, 8, 8], "item": ["a", "b", "a", "b", "c"],
        "t": [START, START + 60, START + 61, START + 80, START + 81]}
CLICKS = {"impression": [1, 2, 3, 4, 5], "t": [START + t for t in (1, 61, 62, 81, 82)]}
ORDERS = {"user": [7, 8], "item": ["b", "a"], "t": [START + 70, START + 65], "amount": [1.0, 2.0]}


def at(second: int) -> str:
    """So many seconds after midnight of 1 January 2026, UTC."""
    return f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z"


def found(root: Path, as_of: str | None) -> list[Any]:
    write(root, log=ROWS, click=CLICKS, order=ORDERS)
    ingest(problem(root, as_of=as_of), root / "out")
    return rows(root / "out", *COLUMNS)


def test_the_impressions_age_decides_whatever_has_arrived(tmp_path: Path) -> None:
    """At second 90 clicks of impressions up to second 80 are known, orders of those up to second 60."""
    assert found(tmp_path, at(90)) == [
        (0, 1.0, 0, 0.0, 1), (1, 1.0, 1, 1.0, 1),
        (2, 1.0, None, None, 1),  # its order has arrived, and yet its label is not known
        (3, 1.0, None, None, 1), (4, None, None, None, None),
    ]


def test_an_unclicked_row_is_as_unknown_as_a_clicked_one(tmp_path: Path) -> None:
    """By SQL's logic alone `click and order` would be 0 where click is."""
    write(tmp_path, log=ROWS, click={"impression": [1], "t": [START + 1]}, order=ORDERS)
    ingest(problem(tmp_path, as_of=at(90)), tmp_path / "out")
    assert rows(tmp_path / "out", "clicked", "bought") == [
        (1, 0), (0, 0), (0, None), (0, None), (None, None)
    ]


def test_later_runs_fill_labels_in(tmp_path: Path) -> None:
    assert [len(found(tmp_path, at(second))) for second in (0, 60, 80)] == [1, 2, 4]
    assert [row[2] for row in found(tmp_path, at(109))] == [0, 1, 1, None, None]
    assert [row[2] for row in found(tmp_path, at(110))] == [0, 1, 1, 0, None]
    final = found(tmp_path, at(200))
    assert final == found(tmp_path, None)
    assert [row[2] for row in final] == [0, 1, 1, 0, 0]


def test_events_after_as_of_are_not_seen(tmp_path: Path) -> None:
    write(tmp_path, log=IMPRESSIONS, click={"impression": [1, 1], "t": [START + 2, START + 9]})
    events = {"click": {**CLICK, "window": "2 seconds"}}
    manifest = ingest(problem(tmp_path, events, as_of=at(4)), tmp_path / "out")
    assert manifest["events"]["click"]["after_as_of"] == 1
    assert rows(tmp_path / "out", "_row", "clicked") == [(0, 0.0)]  # the window does not hold its end


@pytest.mark.parametrize(
    ("as_of", "zone", "kept"),
    [("2026-01-01T09:01:00", "Asia/Tokyo", 2), ("2026-01-01T00:01:00Z", "Asia/Tokyo", 2),
     ("2026-01-01T01:01:00+01:00", "UTC", 2), ("2026-01-02", "UTC", 5), ("2026-01-01", "UTC", 1)],
)
def test_as_of_is_in_the_zone_of_the_log_or_its_own(
    tmp_path: Path, as_of: str, zone: str, kept: int
) -> None:
    write(tmp_path, log=ROWS, click=CLICKS, order=ORDERS)
    source = {"path": "log.parquet", "time": "t", "unit": "s", "zone": zone}
    ingest(problem(tmp_path, as_of=as_of, impressions=source), tmp_path / "out")
    assert len(rows(tmp_path / "out", "_row")) == kept


def test_another_as_of_than_the_files_is_of_the_same_settings(tmp_path: Path) -> None:
    write(tmp_path, log=ROWS, click=CLICKS, order=ORDERS)
    made = problem(tmp_path)
    first = ingest(made.known_at(at(90)), tmp_path / "out")
    assert first["as_of"] == at(90)
    second = ingest(made, tmp_path / "out")
    assert first["settings"] == second["settings"] and first["key"] != second["key"]


def test_a_label_waits_for_the_whole_chain_that_it_reads(tmp_path: Path) -> None:
    made = problem(tmp_path)
    waits = {label: horizon(made, label).total_seconds() for label in made.labels}
    assert waits == {"clicked": 10, "early": 10, "bought": 30, "spent": 30}
