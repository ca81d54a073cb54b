"""The synthetic log: equal by seed, drawn from the probabilities that it keeps, truth kept apart."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from recmtl.data.synthetic import LONGEST_DELAY_MS, generate
from recmtl.data.synthetic_oracle import auc
from recmtl.errors import RecmtlError
from recmtl.folder import read_manifest

ROWS = 20_000
PROBABILITIES = ("p_click", "p_conversion_given_click", "p_click_and_conversion")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "table"
    generate(folder, ROWS, seed=3)
    return folder


@pytest.fixture(scope="module")
def logs_form(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "logs"
    generate(folder, ROWS, seed=3, form="logs")
    return folder


def read(folder: Path, log: str) -> pl.DataFrame:
    return pl.concat(pl.read_parquet(file) for file in sorted((folder / log).glob("*.parquet")))


def with_truth(folder: Path) -> pl.DataFrame:
    return read(folder, "log").hstack(read(folder, "truth").drop("impression_id"))


def test_same_seed_same_log_other_seed_another(table: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again", ROWS, seed=3)
    generate(tmp_path / "other", ROWS, seed=4)
    first = read(table, "log")
    assert first.equals(read(tmp_path / "again", "log"))
    assert not first["click"].equals(read(tmp_path / "other", "log")["click"])


def test_truth_lies_row_for_row_beside_the_log_and_not_in_it(table: Path) -> None:
    log, truth = read(table, "log"), read(table, "truth")
    assert log.height == ROWS
    assert log["impression_id"].equals(truth["impression_id"])
    assert log["impression_id"].n_unique() == ROWS
    assert not set(PROBABILITIES) & set(log.columns)
    assert not {"taste", "appeal", "intent"} & set(log.columns)


@pytest.mark.parametrize(("label", "given", "probability"), [
    ("click", None, "p_click"),
    ("conversion", "click", "p_conversion_given_click"),
    ("conversion", None, "p_click_and_conversion"),
])
def test_labels_are_drawn_from_the_probabilities(
    table: Path, label: str, given: str | None, probability: str
) -> None:
    rows = with_truth(table)
    rows = (rows.filter(pl.col(given) == 1) if given else rows).sort(probability)
    for part in rows.iter_slices(rows.height // 5):
        p = part[probability]
        error = ((p * (1 - p)).sum()) ** 0.5
        assert abs(part[label].sum() - p.sum()) < 4 * error


def test_conversion_only_after_a_click_and_clicks_select_converters(table: Path) -> None:
    rows = with_truth(table)
    assert rows.filter((pl.col("conversion") == 1) & (pl.col("click") == 0)).height == 0
    means = json.loads((table / "truth.json").read_text())["mean_p_conversion_given_click"]
    p = rows["p_conversion_given_click"]
    assert means["all_rows"] == pytest.approx(p.mean())
    assert means["clicked_rows"] == pytest.approx(p.filter(rows["click"] == 1).mean())
    assert means["clicked_rows"] > 1.2 * means["all_rows"]


def test_three_logs_hold_what_the_table_holds(table: Path, logs_form: Path) -> None:
    impressions = read(logs_form, "impressions")
    assert impressions.equals(read(table, "log").drop("click", "conversion"))
    for log, label in (("clicks", "click"), ("conversions", "conversion")):
        expected = read(table, "log").filter(pl.col(label) == 1)["impression_id"]
        assert read(logs_form, log)["impression_id"].equals(expected)


def test_delays_run_from_minutes_to_days(logs_form: Path) -> None:
    clicks = read(logs_form, "clicks").join(
        read(logs_form, "impressions").select("impression_id", shown="time_ms"), on="impression_id"
    )
    assert (clicks["time_ms"] > clicks["shown"]).all()
    delay = read(logs_form, "conversions").join(
        clicks.select("impression_id", clicked="time_ms"), on="impression_id"
    ).select(delay=pl.col("time_ms") - pl.col("clicked"))["delay"]
    assert 60_000 <= delay.min() < 3_600_000
    assert 2 * 86_400_000 < delay.max() <= LONGEST_DELAY_MS


def test_columns_have_what_a_reader_must_survive(table: Path) -> None:
    log = read(table, "log")
    assert log["user_id"].min() > 2**53
    assert log["item_id"].dtype == pl.String
    assert 0.05 < log["discount"].null_count() / ROWS < 0.15
    assert log["age"].null_count() > 0
    assert log["discount"].is_nan().sum() == 0
    assert log["tags"].list.len().unique().to_list() == [2]
    assert log["time_ms"].is_sorted()
    assert (log["time_ms"] // 86_400_000).n_unique() == 10


def test_history_is_what_the_user_clicked_before_the_day(table: Path) -> None:
    log = read(table, "log").with_columns(day=pl.col("time_ms") // 86_400_000)
    last = log["day"].max()
    row = log.filter(pl.col("day") == last).row(0, named=True)
    before = log.filter(
        (pl.col("user_id") == row["user_id"]) & (pl.col("click") == 1) & (pl.col("day") < last)
    )
    assert row["history"] == before["item_id"].to_list()[-20:]
    assert log.filter(pl.col("day") == log["day"].min())["history"].list.len().sum() == 0


def test_truth_json_counts_the_last_day(table: Path) -> None:
    rows = with_truth(table).tail(ROWS // 10)
    test = json.loads((table / "truth.json").read_text())["test"]
    clicked = rows.filter(pl.col("click") == 1)
    assert test["conversions"] == rows["conversion"].sum()
    assert test["auc"]["ctr"] == pytest.approx(roc_auc_score(rows["click"], rows["p_click"]))
    assert test["auc"]["cvr"] == pytest.approx(
        roc_auc_score(clicked["conversion"], clicked["p_conversion_given_click"])
    )
    assert test["auc"]["ctcvr"] == pytest.approx(
        roc_auc_score(rows["conversion"], rows["p_click_and_conversion"])
    )
    assert read_manifest(table)["seed"] == 3


def test_auc_counts_ties_half_and_needs_both_classes() -> None:
    label = np.array([True, False, True, False])
    assert auc(label, np.array([0.5, 0.5, 0.9, 0.1])) == 0.875  # pairs: ½ + 1 + 1 + 1 of 4
    assert auc(np.ones(3, bool), np.arange(3.0)) is None


@pytest.mark.parametrize(("rows", "form"), [(5, "table"), (ROWS, "rows")])
def test_refused_without_a_trace(tmp_path: Path, rows: int, form: str) -> None:
    with pytest.raises(RecmtlError, match="synthetic log"):
        generate(tmp_path / "log", rows, seed=1, form=form)  # type: ignore[arg-type]
    assert not (tmp_path / "log").exists()
