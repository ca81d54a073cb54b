"""Leakage is found where labels are still maturing, and where they are rare; else the report says so."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from recmtl.data import contract
from recmtl.data.contract.columns import Columns as Read
from recmtl.data.contract.day import Day
from recmtl.data.contract.facts import Facts
from recmtl.data.contract.search import Search
from recmtl.data.ingest import ingest
from recmtl.errors import RecmtlError
from tests.data.contract.made_days import DAYS, ROWS, Columns, found, problem, report
from tests.data.made_log import write as write_file

LISTS = {"price": "number", "item": "ids", "tags": "lists"}


@pytest.mark.parametrize("window", [10, 14])
def test_a_label_that_the_newest_days_do_not_know_yet(tmp_path: Path, window: int) -> None:
    """Of 18 days the last 10 or 14 are too young; the feature is the label on all of them."""
    begin, draw = datetime(2026, 3, 1, tzinfo=UTC), np.random.default_rng(4)
    (tmp_path / "log").mkdir()
    for number in range(18):
        at = int((begin + timedelta(days=number)).timestamp() * 1000)
        ids, sold = number * 300 + np.arange(300), draw.random(300) < 0.2
        write_file(tmp_path / "log" / f"{number:02}.parquet", {
            "id": ids, "time": at + np.arange(300) * 1000, "price": sold * 1.0, "click": sold * 1,
        })
        sales = {"id": ids[sold], "t": np.full(sold.sum(), at + 300_000)}
        write_file(tmp_path / f"sale{number:02}.parquet", sales)
    sale = {"path": "sale*.parquet", "time": "t", "unit": "ms", "on": "id", "window": f"{window} days"}
    made = problem(
        tmp_path, labels={"sold": "sale"}, tasks={"cvr": {"label": "sold"}},
        features={"price": {"kind": "numeric"}},
        data={"events": {"sale": sale}, "keys": ["id"], "as_of": str(begin + timedelta(days=18))},
    )
    ingest(made, tmp_path / "examples")
    known = 300 * (18 - window) + 1  # one row is as old as the window
    with pytest.raises(RecmtlError, match=f"equal to the label, for sold, on {known:,} rows"):
        contract.check(made, tmp_path / "examples", tmp_path / "contract")


def rare(root: Path, positives: int) -> tuple[pa.Table, Search]:
    """300,000 rows of one day, of which the sample has one in four, and few clicks."""
    draw, rows = np.random.default_rng(6), 300_000
    click = np.zeros(rows, np.int8)
    click[draw.choice(rows, positives, replace=False)] = 1
    table = pa.table({
        "price": draw.normal(size=rows) + 2.0 * click, "click": click, "bought": click * 0,
        "item": np.where(click | (draw.random(rows) < 0.1), "told", "other"),
        "tags": pa.array((click + 3).reshape(-1, 1).tolist()),
    })
    folder = root / "examples" / "undated"
    folder.mkdir(parents=True)
    write_file(folder / "part.parquet", {name: table[name] for name in table.column_names})
    labels = {"click": {"positives": positives, "nulls": 0}, "bought": {"positives": 0, "nulls": 0}}
    read = Read(LISTS, {"click": "number", "bought": "number"}, (), {})
    facts = Facts(problem(root), {}, read, [Day("undated", rows, labels, {})], {}, (), [])
    return table, Search(duckdb.connect(), facts, folder.parent)


def test_of_a_rare_label_all_positives_are_read(tmp_path: Path) -> None:
    table, search = rare(tmp_path, 120)
    spaces, strengths = search.run()
    assert [(s.label, s.positives) for s in spaces] == [("click", 120), ("bought", 0)]
    auc = {s.column: s.auc for s in strengths if s.label == "click"}
    whole = {name: table[name].to_numpy() for name in ("click", "price", "item")}
    assert auc["price"] == pytest.approx(roc_auc_score(whole["click"], whole["price"]), abs=0.003)
    told = (whole["item"] == "told").astype(float)
    assert auc["item"] == pytest.approx(roc_auc_score(whole["click"], told), abs=0.003)
    assert auc["tags"] == 1.0


def test_a_rare_label_leaks(tmp_path: Path) -> None:
    def tell(days: dict[str, Columns]) -> None:
        for day in days.values():
            day["click"][:] = 0
            day["click"][:20] = 1
            day["bought"][:] = 0
            day["tags"] = [[int(y) + 3] for y in day["click"]]

    with pytest.raises(RecmtlError, match=r"leakage of tags: AUC 1\.000"):
        report(tmp_path, tell)  # one in four lists would be too few


def test_a_label_that_is_too_rare_is_said_to_be_so(tmp_path: Path) -> None:
    def never(days: dict[str, Columns]) -> None:
        for day in days.values():
            day["click"][:] = 0
            day["click"][:10] = 1
            day["bought"][:] = 0
        days[DAYS[0]]["bought"][:7] = 1

    made = report(tmp_path, never)
    assert found(made, "leakage", "click") == [("note", "ids and lists are not checked: 40 positives")]
    assert found(made, "leakage", "bought") == [("note", "not checked: 7 positives where click is 1")]
    assert made["rows"] == 4 * ROWS
