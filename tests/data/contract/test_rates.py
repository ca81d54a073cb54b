"""Rates and counts, which no file of the examples holds, are held to the same as other features."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest

from recmtl.data import contract
from recmtl.data.contract.joined import Joined
from recmtl.data.contract.sample import Rows
from recmtl.data.examples import Examples
from recmtl.data.ingest import ingest
from recmtl.data.rates.write import write_rates
from recmtl.data.selection import select
from recmtl.errors import RecmtlError
from recmtl.schema import Problem
from tests.data.contract.made_days import DAYS, ROWS, Columns, day, problem, write

Days = dict[str, Columns]
RATE = {"kind": "rate", "of": ["item"], "label": "click", "days": 1}


def rated(root: Path, change: Callable[[Days], None] = lambda days: None) -> tuple[Problem, Examples]:
    days = {name: day(name) for name in DAYS}
    change(days)
    write(root, days)
    features = {"told": RATE, "seen": {"kind": "count", "of": ["item"]}, "price": {"kind": "numeric"}}
    made = problem(root, features=features)
    ingest(made, root / "examples")
    examples = Examples.open(root / "examples")
    write_rates(made, examples, root / "rates")
    return made, examples


def report(root: Path, change: Callable[[Days], None] = lambda days: None) -> contract.Report:
    made, _ = rated(root, change)
    return contract.check(made, root / "examples", root / "contract")


def test_rates_of_days_that_are_alike_give_nothing(tmp_path: Path) -> None:
    """The first day has none, and a count of all days grows from day to day."""
    made = report(tmp_path)
    assert made["findings"] == []
    nulls = [day["columns"]["told"]["nulls"] for day in made["days"].values()]
    assert nulls == [1, 0, 0, 0]
    assert [len(day["columns"]["seen"]["drift"]) for day in made["days"].values()] == [0, 0, 0, 0]


@pytest.mark.duckdb(reason="counts rows in the one file that DuckDB makes of a day")
def test_sampled_rows_have_their_own_numbers(tmp_path: Path) -> None:
    _, examples = rated(tmp_path)
    rows = Rows(tuple(examples.files(examples.days[1:])), step=700, size=100)
    read = Joined(examples).read(duckdb.connect(), rows.select(dated=True), DAYS[1:])
    query = select(examples, columns=["told", "told.n", "seen"], days=examples.days[1:])
    every = duckdb.connect().sql(query).to_arrow_table()
    some = np.flatnonzero(np.tile(np.arange(ROWS) % 700 < 100, 3))
    assert {name: column.to_pylist() for name, column in read.items()} == {
        name: every[name].take(some).to_pylist() for name in every.column_names
    }


def test_a_rate_that_drifts_and_one_whose_keys_are_gone(tmp_path: Path) -> None:
    def change(days: Days) -> None:
        days[DAYS[2]]["click"][: ROWS // 2] = 1
        days[DAYS[3]]["item"][:1000] = [None] * 1000

    made = report(tmp_path, change)
    told = {(f["check"], f["level"], f["day"]) for f in made["findings"] if f["column"] == "told"}
    assert {("drift", "warning", DAYS[3]), ("nulls", "warning", DAYS[3])} <= told


def test_a_rate_that_tells_the_label(tmp_path: Path) -> None:
    def tell(days: Days) -> None:
        for one in days.values():
            one["click"] = np.array([int(item) < 10 for item in one["item"]], np.int8)
            one["bought"] *= 0

    with pytest.raises(RecmtlError, match=r"leakage of told: AUC 1\.000"):
        report(tmp_path, tell)


@pytest.mark.duckdb(reason="takes a file away from what one engine wrote")
def test_rates_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    made, _ = rated(tmp_path)
    (tmp_path / "rates" / "manifest.json").unlink()
    with pytest.raises(RecmtlError, match="rates"):
        contract.check(made, tmp_path / "examples", tmp_path / "contract")
