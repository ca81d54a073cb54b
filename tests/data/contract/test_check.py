"""The report on a log: nothing on days that are alike, and each check's finding on days that are not."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recmtl.data import contract
from recmtl.data.ingest import ingest
from recmtl.errors import RecmtlError
from tests.data.contract.made_days import DAYS, ROWS, Columns, found, problem, report

SECOND, THIRD, LAST = "2024-01-02", "2024-01-03", "2024-01-04"
Days = dict[str, Columns]


def test_days_that_are_alike_give_nothing(tmp_path: Path) -> None:
    made = report(tmp_path)
    assert made["findings"] == []
    assert made["levels"] == {"error": 0, "warning": 0, "note": 0}
    assert made["rows"] == 4 * ROWS
    assert list(made["days"]) == ["2024-01-01", SECOND, THIRD, LAST]


def test_the_same_log_gives_the_same_report(tmp_path: Path) -> None:
    first = report(tmp_path)
    shutil.rmtree(tmp_path / "contract")
    assert contract.check(problem(tmp_path), tmp_path / "examples", tmp_path / "contract") == first


def test_a_report_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    report(tmp_path)
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "contract").iterdir()}
    contract.check(problem(tmp_path), tmp_path / "examples", tmp_path / "contract")
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "contract").iterdir()} == before
    other = problem(tmp_path, contract={"drift": {"note": 0.0}})
    assert contract.check(other, tmp_path / "examples", tmp_path / "contract")["limits"]["drift"] == {
        "note": 0.0, "warning": 0.25, "error": None,
    }
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "contract").iterdir()} != before


def test_the_first_nulls_are_a_note_and_many_a_warning(tmp_path: Path) -> None:
    def few(days: Days) -> None:
        days[DAYS[2]]["price"][:20] = np.nan
        days[DAYS[3]]["item"][:1000] = [None] * 1000

    made = report(tmp_path, few)
    assert found(made, "nullability", "price") == [("note", "null in 1 % of the rows")]
    assert found(made, "nulls", "item") == [("warning", "50 %")]
    assert found(made, "nullability", "item") == [
        ("warning", "null in 50 % of the rows"), ("note", "null in 50 % of the rows"),
    ]


def test_a_day_without_any_value(tmp_path: Path) -> None:
    def empty(days: Days) -> None:
        days[DAYS[1]]["price"][:] = np.nan

    made = report(tmp_path, empty)
    assert found(made, "nullability", "price") == [("warning", "null in every row")]
    assert [f["day"] for f in made["findings"] if f["column"] == "price"] == [SECOND, SECOND]


def test_zeros_that_jump(tmp_path: Path) -> None:
    def zero(days: Days) -> None:
        days[DAYS[3]]["price"][:200] = 0.0
        days[DAYS[3]]["tags"][:1500] = [[] for _ in range(1500)]

    made = report(tmp_path, zero)
    assert found(made, "zeros", "price") == [("note", "10 %")]
    assert [level for level, _ in found(made, "zeros", "tags")] == ["warning"]


def test_values_that_were_never_there(tmp_path: Path) -> None:
    def new(days: Days) -> None:
        days[DAYS[3]]["item"][:600] = [f"new {n % 10}" for n in range(600)]

    made = report(tmp_path, new)
    assert found(made, "unknown", "item") == [("warning", "30 %")]
    columns = {name: day["columns"]["item"]["unknown"] for name, day in made["days"].items()}
    assert columns == {"2024-01-01": None, SECOND: 0.0, THIRD: 0.0, LAST: 0.3}


@pytest.mark.parametrize(("rate", "level"), [(0.145, "note"), (0.08, "warning")])
def test_a_label_whose_rate_jumps(tmp_path: Path, rate: float, level: str) -> None:
    def fewer(days: Days) -> None:
        click = np.zeros(ROWS, np.int8)
        click[: int(rate * ROWS)] = 1
        days[DAYS[2]] |= {"click": click, "bought": click}

    made = report(tmp_path, fewer)
    assert found(made, "labels", "click")[0][0] == level
    assert f"{100 * rate:.3g} %" in found(made, "labels", "click")[0][1]


def test_a_label_with_one_class(tmp_path: Path) -> None:
    def never(days: Days) -> None:
        for day in days.values():
            day["bought"][:] = 0

    assert found(report(tmp_path, never), "labels") == [("warning", "0 in every row")]


def test_constant_columns(tmp_path: Path) -> None:
    def constant(days: Days) -> None:
        for day in days.values():
            day["item"] = ["one"] * ROWS
        days[DAYS[1]]["price"][:] = 1.0

    made = report(tmp_path, constant)
    assert found(made, "constant", "item") == [("note", "'one' in every row that has a value")]
    assert found(made, "constant", "price") == [("warning", "'1.0' in every row")]


def test_columns_that_explode(tmp_path: Path) -> None:
    def explode(days: Days) -> None:
        for number, day in enumerate(days.values()):
            day["user"] = np.arange(ROWS) + number * ROWS
        days[DAYS[3]]["item"] = [str(n % 250) for n in range(ROWS)]

    made = report(tmp_path, explode)
    assert found(made, "distinct", "user") == [("warning", "1.00 distinct values a row; 4 days in all")]
    assert found(made, "growth", "item") == [("warning", "5.0 times as many")]


@pytest.mark.parametrize("constant", [[7], [3, 3, 1], [None, 2]])
def test_lists_that_are_all_the_same(tmp_path: Path, constant: list[int | None]) -> None:
    def same(days: Days) -> None:
        for day in days.values():
            day["tags"] = [constant] * (ROWS - 1) + [None]

    made = report(tmp_path, same)
    assert found(made, "constant", "tags") == [("note", f"'{constant}' in every row that has a value")]


def test_lists_that_explode(tmp_path: Path) -> None:
    def explode(days: Days) -> None:
        for number, day in enumerate(days.values()):
            day["tags"] = [[2 * n, 2 * n + 1] for n in range(number * ROWS, (number + 1) * ROWS)]

    made = report(tmp_path, explode)
    assert found(made, "distinct", "tags") == [
        ("warning", "1.00 distinct values an element; 4 days in all")
    ]


@pytest.mark.parametrize("column", ["tags", "user"])
def test_ids_that_are_all_new_every_day(tmp_path: Path, column: str) -> None:
    """Each comes twenty times on its day, so that they are few, and never again."""

    def renew(days: Days) -> None:
        for number, day in enumerate(days.values()):
            ids = number * 1000 + np.arange(ROWS) % 100
            day[column] = ids if column == "user" else [[int(i), int(i)] for i in ids]

    made = report(tmp_path, renew)
    assert found(made, "distinct", column) == [
        ("warning", "1.00 of its values were on no day before; 3 days in all")
    ]


def test_drift_of_features_and_labels(tmp_path: Path) -> None:
    def drift(days: Days) -> None:
        days[DAYS[2]]["price"] *= 3
        days[DAYS[3]]["item"] = [str(n % 25) for n in range(ROWS)]

    made = report(tmp_path, drift)
    levels = {f["column"] for f in made["findings"] if f["check"] == "drift" and f["level"] == "warning"}
    assert levels == {"price", "item"}
    assert [f["day"] for f in made["findings"] if f["check"] == "drift" and f["column"] == "price"] == [
        THIRD, THIRD,
    ]


def test_types_of_the_log_that_change_are_a_note(tmp_path: Path) -> None:
    def other(days: Days) -> None:
        days[DAYS[2]]["user"] = days[DAYS[2]]["user"].astype(np.int32)
        days[DAYS[3]]["extra"] = np.zeros(ROWS)

    made = report(tmp_path, other)
    assert found(made, "types", "user")[0] == (
        "note", f"INTEGER in {tmp_path / 'log' / DAYS[2]}.parquet",
    )
    assert found(made, "types", "extra")[0][0] == "note"


def test_types_are_held_against_the_day_before_whatever_the_files_names_are(tmp_path: Path) -> None:
    """The days' files in the order of their names are the last, the first, the second, the third one."""

    def other(days: Days) -> None:
        for name in (THIRD, LAST):
            days[name]["extra"] = ["text"] * ROWS
        for name in DAYS[:2]:
            days[name] |= {"extra": np.zeros(ROWS), "lost": np.zeros(ROWS)}
        days["0"] = days.pop(LAST)

    made = report(tmp_path, other)
    types = [(f["level"], f["column"], f["day"], f["found"]) for f in made["findings"]
             if f["check"] == "types"]
    file = tmp_path / "log" / f"{THIRD}.parquet"
    assert types == [
        ("warning", "extra", THIRD, f"VARCHAR in {file}"),
        ("warning", "lost", THIRD, f"not in 2 of 4 files, any more since {file}"),
    ]


def test_files_of_side_tables_and_events_are_looked_at_too(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    for name, extra in (("a", [1.5, 2.5]), ("b", [None, None])):
        side = {"item": [f"{name}{n}" for n in range(2)], "extra": pa.array(extra, pa.float64())}
        pq.write_table(pa.table(side), tmp_path / f"side-{name}.parquet")
    for name, kind in (("a", pa.int64()), ("b", pa.string())):
        tap = {"user": [1, 2], "t": [0, 0], "extra": pa.array([None, None], pa.int64()).cast(kind)}
        pq.write_table(pa.table(tap), tmp_path / f"tap-{name}.parquet")
    tap = {"path": "tap-*.parquet", "time": "t", "unit": "ms", "on": "user", "window": "1 day"}
    made = report(tmp_path, contract={"events": {"error": None}}, data={
        "joins": [{"path": "side-*.parquet", "on": "item"}], "events": {"tap": tap},
    })
    assert ("warning", f"VARCHAR in {tmp_path / 'tap-b.parquet'}") in found(made, "types", "extra")
    assert found(made, "nullability", "extra") == [
        ("warning", f"null in every row of {tmp_path / 'side-b.parquet'}"),
    ]


@pytest.mark.duckdb(reason="rewrites the one file that DuckDB makes of a day")
def test_examples_of_another_type_are_an_error(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    report(tmp_path)
    (file,) = (tmp_path / "examples" / f"dt={SECOND}").glob("*.parquet")
    table = pq.read_table(file, partitioning=None)
    place = table.column_names.index("user")
    pq.write_table(table.set_column(place, "user", table["user"].cast(pa.string())), file)
    shutil.rmtree(tmp_path / "contract")
    with pytest.raises(RecmtlError, match=r"types of user: VARCHAR"):
        contract.check(problem(tmp_path), tmp_path / "examples", tmp_path / "contract")


def test_a_report_that_is_missing_or_has_errors_is_refused(tmp_path: Path) -> None:
    def leak(days: Days) -> None:
        for day in days.values():
            day["price"] = day["click"] * 2.0

    with pytest.raises(RecmtlError, match=r"1 error[^$]*an AUC below 0\.99 [^$]*leakage of price"):
        report(tmp_path, leak)
    limits = {"leakage": {"warning": 0.9, "error": 1.1}}
    warned = report(tmp_path, leak, contract=limits)["findings"]
    assert [f["expected"] for f in warned if f["check"] == "leakage"] == ["an AUC below 0.9 for click"]
    shutil.rmtree(tmp_path / "contract")
    with pytest.raises(RecmtlError, match="leakage of price"):
        report(tmp_path, leak)
    made, manifest = problem(tmp_path), ingest(problem(tmp_path), tmp_path / "examples")
    with pytest.raises(RecmtlError, match="leakage of price"):
        contract.require(made, manifest, tmp_path / "contract")
    with pytest.raises(RecmtlError, match="not checked"):
        contract.require(made, manifest, tmp_path / "elsewhere")


def test_days_that_are_as_they_were_are_not_measured_again(tmp_path: Path) -> None:
    made = report(tmp_path)
    (tmp_path / "other").mkdir()

    def more(days: Days) -> None:
        days[DAYS[2]]["item"][:600] = [f"new {n % 10}" for n in range(600)]
        days[DAYS[2]]["price"][:600] *= 4

    alone = report(tmp_path / "other", more)
    text = (tmp_path / "contract" / "contract.json").read_text()
    marked = json.loads(text)
    for name in ("2024-01-01", SECOND):  # a mark on what is kept, to see that it is
        marked["days"][name]["columns"]["price"]["zeros"] = 0.125
    (tmp_path / "contract" / "contract.json").write_text(json.dumps(marked))
    again = report(tmp_path, more)
    for name in ("2024-01-01", SECOND):
        assert again["days"][name]["columns"]["price"].pop("zeros") == 0.125
        assert alone["days"][name]["columns"]["price"].pop("zeros") == 0.0
        assert again["days"][name]["key"] == made["days"][name]["key"]
    for name in (THIRD, LAST):
        assert again["days"][name]["key"] != made["days"][name]["key"] or name == LAST
    strip(again), strip(alone)
    assert again["days"] == alone["days"]
    assert found(again, "unknown") == found(alone, "unknown") == [("warning", "30 %")]


def strip(made: contract.Report) -> None:
    """Without the keys, in which the files' places are."""
    for day in made["days"].values():
        del day["key"]


def test_columns_without_a_value_and_of_any_name(tmp_path: Path) -> None:
    def odd(days: Days) -> None:
        for day in days.values():
            day["price"][:] = np.nan
            day["user"] = pa.array([None] * ROWS, pa.int64())
            day["tags"] = [[] for _ in range(ROWS)]
            for name in ("files", "step", "value", "hash_0", "a, b"):
                day[name] = np.arange(ROWS) % 7

    kinds = {"price": "numeric", "user": "categorical", "tags": "bag", "item": "categorical"}
    names = dict.fromkeys(("files", "step", "value", "hash_0", "a, b"), "categorical")
    features = {name: {"kind": kind} for name, kind in (kinds | names).items()}
    made = report(tmp_path, odd, features=features)
    assert {(f["level"], f["check"], f["column"]) for f in made["findings"]} == {
        ("warning", "nullability", "price"), ("warning", "nullability", "user"),
    }
    assert made["days"][LAST]["columns"]["a, b"]["distinct"] == 7
    assert made["days"][LAST]["columns"]["tags"]["zeros"] == 1.0


def test_undated_rows_are_one_day(tmp_path: Path) -> None:
    data = {
        "impressions": {"path": "log/*.parquet"}, "keys": ["user"],
        "split": {"hash": ["user"], "valid": 0.2, "test": 0.2},
    }
    made = report(tmp_path, data=data)
    assert list(made["days"]) == ["undated"]
    assert made["findings"] == []
