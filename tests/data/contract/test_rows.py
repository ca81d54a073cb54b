"""Repeated rows, funnels, events and leakage."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recmtl.data.contract.checks.events import check as check_events
from recmtl.data.contract.columns import Columns as Read
from recmtl.data.contract.day import Day
from recmtl.data.contract.facts import Facts
from recmtl.data.contract.leakage import area, spaces_of, strengths
from recmtl.errors import RecmtlError
from tests.data.contract.made_days import DAYS, ROWS, Columns, found, problem, report

Days = dict[str, Columns]


def repeat(days: Days, rows: int, **changes: Any) -> None:
    """Put the first rows of the second day there twice, with some columns changed in the copies."""
    day = days[DAYS[1]]
    for name, values in day.items():
        copies = changes.get(name, values[:rows])
        day[name] = [*values, *copies] if isinstance(values, list) else np.concatenate([values, copies])


def test_few_equal_rows_are_a_note_and_more_a_warning(tmp_path: Path) -> None:
    made = report(tmp_path, lambda days: repeat(days, 5))
    ((level, text),) = found(made, "duplicates")
    assert (level, text) == ("note", "5 rows (0.0625 %) equal to another row in every column")
    assert [day["equal"] for day in made["days"].values()] == [0, 5, 0, 0]


def test_rows_of_the_same_keys_and_time_that_differ(tmp_path: Path) -> None:
    made = report(tmp_path, lambda days: repeat(days, 40, price=np.full(40, 7.5)))
    ((level, text),) = found(made, "duplicates")
    assert (level, text) == ("warning", "40 rows (0.498 %) of the same user, item, time as another row")


def test_the_same_id_twice(tmp_path: Path) -> None:
    def numbered(days: Days) -> None:
        for number, day in enumerate(days.values()):
            day["id"] = np.arange(ROWS) + number * ROWS
        days[DAYS[1]]["id"][1:4] = days[DAYS[1]]["id"][0]

    source = {"path": "log/*.parquet", "id": "id", "time": "time", "unit": "ms", "zone": "UTC"}
    made = report(tmp_path, numbered, data={"impressions": source})
    assert found(made, "duplicates", "id") == [
        ("note", "3 rows (0.0375 %) of the same id as another row")
    ]


def again(days: Days) -> None:
    """Each row an id of its own, but for ten of the last day, which are those of the first day."""
    for number, day in enumerate(days.values()):
        day["id"] = np.arange(ROWS) + number * ROWS
    days[DAYS[3]]["id"][:10] = np.arange(10)


@pytest.mark.parametrize(("duplicates", "level"), [("keep", "warning"), ("drop", "note")])
def test_an_id_on_two_days_is_said_of_the_later(tmp_path: Path, duplicates: str, level: str) -> None:
    source = {"path": "log/*.parquet", "id": "id", "time": "time", "unit": "ms", "zone": "UTC"}
    made = report(tmp_path, again, data={"impressions": {**source, "duplicates": duplicates}})
    (one,) = (f for f in made["findings"] if f["check"] == "duplicates")
    assert (one["level"], one["column"], one["day"]) == (level, "id", DAYS[3])
    assert one["found"].endswith("of the same id as a row of an earlier day")
    assert one["found"].startswith("10 rows") and ("dropped" in one["fix"]) == (duplicates == "drop")
    assert made["rows"] == 4 * ROWS - 10 * (duplicates == "drop")


def test_what_differs_somewhere_is_not_said_to_be_dropped(tmp_path: Path) -> None:
    source = {"path": "log/*.parquet", "time": "time", "unit": "ms", "zone": "UTC", "duplicates": "drop"}

    def both(days: Days) -> None:
        repeat(days, 40, price=np.full(40, 7.5))
        repeat(days, 30)

    made = report(tmp_path, both, data={"impressions": source})
    found = [(f["level"], f["found"].split(" ")[0], f["fix"]) for f in made["findings"]
             if f["check"] == "duplicates"]
    assert found == [
        ("warning", "40", "name impressions.id: rows that differ somewhere are not dropped"),
        ("note", "30", "nothing: they are dropped"),
    ]


def broken(days: Days) -> None:
    """Two of the buys and half of the likes without a click."""
    for day in days.values():
        day["like"] = np.zeros(ROWS, np.int8)
        without, clicked = np.flatnonzero(day["click"] == 0), np.flatnonzero(day["click"])
        day["like"][[*without[:10], *clicked[:10]]] = 1
    days[DAYS[1]]["bought"][without[:2]] = 1


def test_outcomes_without_an_earlier_step(tmp_path: Path) -> None:
    made = report(tmp_path, broken, data={"outcomes": ["like"]})
    assert found(made, "funnel", "like") == [("warning", "40 of 80 (50 %) have click = 0; 4 days in all")]
    ((level, text),) = found(made, "funnel", "bought")
    assert level == "note" and text.startswith("2 of ")


def test_a_broken_product_is_an_error(tmp_path: Path) -> None:
    tasks = {
        "ctr": {"label": "click"}, "cvr": {"label": "bought", "given": "click"},
        "ctcvr": {"label": "bought", "product": ["ctr", "cvr"]},
    }
    labels = {"click": "click", "bought": "bought"}
    with pytest.raises(RecmtlError, match=r"funnel of bought: 2 of \d+ .* have click = 0"):
        report(tmp_path, broken, tasks=tasks, labels=labels)


def test_a_number_that_tells_the_label(tmp_path: Path) -> None:
    def tell(days: Days) -> None:
        for day in days.values():
            noise = np.random.default_rng(1).random(ROWS)
            day["price"] = -np.where(noise < 0.03, noise, day["click"] + noise)

    made = report(tmp_path, tell)
    ((level, text),) = found(made, "leakage", "price")
    assert level == "warning" and "AUC 0.9" in text


def test_a_column_that_is_there_where_the_label_is_1(tmp_path: Path) -> None:
    def tell(days: Days) -> None:
        for day in days.values():
            day["price"][day["click"] == 0] = np.nan

    with pytest.raises(RecmtlError, match=r"leakage of price: AUC 1\.000"):
        report(tmp_path, tell)


def test_a_limit_of_the_file_lets_it_pass(tmp_path: Path) -> None:
    def tell(days: Days) -> None:
        for day in days.values():
            day["price"][day["click"] == 0] = np.nan

    made = report(tmp_path, tell, contract={"leakage": {"error": 1.1}})
    assert [level for level, _ in found(made, "leakage")] == ["warning"]


def columns(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    return dict(zip(table.column_names, table.columns, strict=True))


def test_ids_that_are_there_once_say_nothing(tmp_path: Path) -> None:
    y = (np.arange(4000) % 3 == 0).astype(np.int8)
    table = pa.table({
        "user": 2**63 - 1 - np.arange(4000), "item": np.char.add("i", (y * 7).astype(str)),
        "price": np.full(4000, 1.0), "tags": [[int(v), 5] for v in y], "click": y, "bought": y,
    })
    made = problem(tmp_path)
    read = Read({"user": "ids", "item": "ids", "price": "number", "tags": "lists"}, {}, (), {})
    auc = {(s.column, s.label): s.auc for s in strengths(spaces_of(made), read, columns(table))}
    assert auc["user", "click"] == 0.5
    assert auc["item", "click"] == 1.0
    assert auc["price", "click"] == 0.5
    assert auc["tags", "click"] == 0.875  # half of the elements tell it, the others half of it
    assert auc["item", "bought"] is None  # given click, there is one class


def test_equal_to_a_label(tmp_path: Path) -> None:
    y = (np.arange(900) % 3 == 0).astype(np.int8)
    table = pa.table({"user": y.astype(np.int64), "click": y, "bought": y})
    spaces = spaces_of(problem(tmp_path))
    (first, *_) = strengths(spaces, Read({"user": "ids"}, {}, (), {}), columns(table))
    assert (first.equal, first.auc) == (True, 1.0)


def test_area_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    draw = np.random.default_rng(3)
    score, y = draw.integers(0, 30, 5000), draw.random(5000) < 0.3
    up, down = np.bincount(score, weights=y), np.bincount(score, weights=~y)
    expected = roc_auc_score(y, score)
    assert area(np.arange(30), up, down) == pytest.approx(max(expected, 1 - expected))
    assert area(np.arange(30), up * 0, down) is None


def test_events_by_their_share(tmp_path: Path) -> None:
    event = {"path": "e", "time": "t", "unit": "ms", "on": "user", "window": "1 day"}
    events = {"tap": event, "sale": {**event, "of": "tap"}, "late": event}
    made = problem(tmp_path, data={"events": events})
    counts = {
        "tap": {"rows": 1000, "nulls": 0, "repeated": 5, "orphans": 20, "credited": 975},
        "sale": {"rows": 10, "orphans": 6, "before_cause": 1, "credited": 3},
        "late": {"rows": 10, "after_as_of": 9, "credited": 1},
    }
    facts = Facts(made, {"events": counts}, Read({}, {}, (), {}), [], {}, (), [])
    assert [(f.level, f.column, f.found) for f in check_events(facts)] == [
        ("note", "tap", "5 of 1,000 (0.5 %) repeat an id"),
        ("warning", "tap", "20 of 1,000 (2 %) are without an impression"),
        ("error", "sale", "6 of 10 (60 %) are without a tap"),
        ("warning", "sale", "1 of 10 (10 %) come before a tap"),
        ("note", "late", "9 of 10 (90 %) come after as_of"),  # by intent, where as_of is past
    ]


def made_orphans(root: Path, **last: int) -> Facts:
    """Sixty days of 1,000 clicks each, of which those of the last day have no impression."""
    event = {"path": "e", "time": "t", "unit": "ms", "on": "user", "window": "1 day"}
    days = [str(date(2026, 1, 1) + timedelta(days=n)) for n in range(60)]
    usual = {"rows": 1000, "orphans": 0, "credited": 1000}
    by_day = dict.fromkeys(days, usual) | {days[-1]: {"rows": 1000, **last}}
    totals = {"rows": 60_000, "orphans": last["orphans"], "credited": 60_000 - last["orphans"]}
    made = problem(root, data={"events": {"tap": event}})
    manifest = {"events": {"tap": totals}, "event_days": {"tap": by_day}}
    return Facts(made, manifest, Read({}, {}, (), {}), [Day(d, 9, {}, {}) for d in days], {}, (), [])


def test_the_worst_day_counts_whatever_the_days_before_it_were(tmp_path: Path) -> None:
    (one,) = check_events(made_orphans(tmp_path, orphans=1000))
    assert (one.level, one.day) == ("error", "2026-03-01")
    assert one.found == "1,000 of 1,000 (100 %) are without an impression"


def test_stragglers_after_the_last_day_break_nothing(tmp_path: Path) -> None:
    """A log that ends: what still comes in comes late, most of it too late."""
    facts = made_orphans(tmp_path, orphans=0)
    facts.manifest["event_days"]["tap"]["2026-03-05"] = {"rows": 120, "outside_window": 100}
    assert list(check_events(facts)) == []


def test_events_of_the_first_day_may_come_of_impressions_before_the_log(tmp_path: Path) -> None:
    facts = made_orphans(tmp_path, orphans=0)
    facts.manifest["event_days"]["tap"]["2026-01-01"] = {"rows": 1000, "orphans": 1000}
    assert list(check_events(facts)) == []
