"""Event logs that cannot be used: each ends in an error that names its cause, and nothing is written."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from recmtl.data.ingest import ingest
from recmtl.errors import RecmtlError
from recmtl.experiment import Experiment
from tests.data.events.made_events import CLICK, CLICKS, IMPRESSIONS, ORDER, ORDERS, START, problem, write


def refusal(root: Path, events: dict[str, Any], **data: Any) -> str:
    """The message of a refused ingest, which must leave no output."""
    with pytest.raises(RecmtlError) as error:
        ingest(problem(root, events, **data), root / "out")
    assert not list(root.glob("out")) + list(root.glob(".out.tmp"))
    return str(error.value)


def parse(events: dict[str, Any], **data: Any) -> str:
    """The message of a refused file."""
    source = {"path": "log.parquet", "time": "t", "unit": "s", "zone": "UTC"}
    with pytest.raises(RecmtlError) as error:
        Experiment.parse({
            "name": "made", "labels": {"clicked": "click"}, "tasks": {"ctr": {"label": "clicked"}},
            "data": {"impressions": source, "split": {"valid": "2026-01-02", "test": "2026-01-03"},
                     "events": events, **data},
            "features": {"user": {"kind": "categorical"}},
            "models": {"m": {"sharing": {"kind": "separate"}, "loss": {"ctr": 1.0}}},
            "train": {"monitor": "auc_valid/ctr"},
        }, Path())
    return str(error.value)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ({"click": {**CLICK, "window": "0 minutes"}}, ["events.click.window", "'0 minutes'", "1 second"]),
        ({"click": {**CLICK, "window": "-3 days"}}, ["events.click.window", "no duration"]),
        ({"click": {**CLICK, "window": "1 month"}}, ["events.click.window", "no duration", "7 days"]),
        ({"click": {**CLICK, "window": 30}}, ["events.click.window: 30 is no duration", '"30 minutes"']),
        ({"click": {**CLICK, "windw": "1 hour"}}, ["events.click.windw", "'window'"]),
        ({"click": {**CLICK, "on": []}}, ["events.click.on"]),
        ({"click": {**CLICK, "of": "clack"}}, ["events.click.of", "no source 'clack'"]),
        ({"click": {**CLICK, "of": "click"}}, ["events.click.of", "circle"]),
        ({"click": {**CLICK, "of": "order"}, "order": ORDER}, ["click of order of click is a circle"]),
        ({"impression": CLICK}, ["events.impression", "no name"]),
        ({"my click": CLICK}, ["'my click' is no name"]),
        ({"click": CLICK, "order": {**ORDER, "sum": ["Click"]}}, ["events.click", "'Click'"]),
        ({"click": CLICK, "order": {**ORDER, "sum": ["amount", "amount"]}}, ["events.order", "'amount'"]),
    ],
)
def test_a_file_that_cannot_be_meant(events: dict[str, Any], words: list[str]) -> None:
    message = parse(events)
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"impressions": {"path": "log.parquet", "day": "day"}}, ["events needs impressions.time"]),
        ({"as_of": "yesterday"}, ["data.as_of", "'yesterday' is no day or time such as \"2026-03-11\""]),
        ({"as_of": 5}, ["data.as_of", "5 is no day or time such as"]),
        ({"split": {"valid": 20260102, "test": "2026-01-03"}}, ["20260102 is no day or time such as"]),
        ({"as_of": "0001-01-01T00:00:00Z"}, ["data.as_of", "no time from 1990 to 2100"]),
        ({"as_of": "9999-12-31T23:59:59-05:00"}, ["data.as_of", "no time from 1990 to 2100"]),
        ({"as_of": "2026-01-01", "impressions": {"path": "a", "time": "t", "zone": "Middle/Earth"}},
         ["data.impressions.zone", "no time zone 'Middle/Earth'", "Asia/Shanghai"]),
        ({"impressions": {"path": "a", "time": "t", "day": "d", "zone": "America"}},
         ["data.impressions.zone", "no time zone 'America'"]),
        ({"as_of": "2026-01-01", "impressions": {"path": "a", "time": "t", "day": "d"}},
         ["as_of needs an offset", "impressions.zone"]),
    ],
)
def test_times_that_say_too_little(data: dict[str, Any], words: list[str]) -> None:
    message = parse({"click": CLICK}, **data)
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "gone*.parquet"}, ["data.events.click", "no file matches"]),
        ({"time": "when"}, ["data.events.click.time", "no column 'when'"]),
        ({"unit": None}, ["data.events.click.time", "BIGINT", "unit"]),
        ({"id": "ident"}, ["data.events.click.id", "no column 'ident'"]),
        ({"on": "impresion"}, ["data.events.click.on", "did you mean 'impression'"]),
        ({"sum": ["price"]}, ["data.events.click.sum", "no column 'price'"]),
        ({"sum": ["name"]}, ["'name' has type VARCHAR", "a number"]),
        ({"sum": ["ratio"]}, ["'ratio' is infinite in 1 rows", "click.parquet"]),
        ({"on": "ratio"}, ["data.events.click.on", "no column 'ratio' in data.impressions"]),
    ],
)
def test_columns_that_do_not_fit(tmp_path: Path, change: dict[str, Any], words: list[str]) -> None:
    write(tmp_path, click={**CLICKS, "name": ["a", "b"], "ratio": [1.0, float("inf")]})
    message = refusal(tmp_path, {"click": {**CLICK, **change}})
    assert [word for word in words if word not in message] == []


def test_keys_of_another_type_than_the_causes(tmp_path: Path) -> None:
    write(tmp_path, click={"impression": ["1", "3"], "t": [START, START]})
    message = refusal(tmp_path, {"click": CLICK})
    assert "'impression' has type VARCHAR in data.events.click and BIGINT in data.impressions" in message


def test_keys_of_another_type_further_up_the_chain(tmp_path: Path) -> None:
    write(tmp_path, order={**ORDERS, "user": ["7", "8", "8"]})
    message = refusal(tmp_path, {"click": CLICK, "order": ORDER})
    assert "'user' has type VARCHAR in data.events.order and BIGINT in data.impressions" in message


def test_keys_of_mixed_types_within_a_log(tmp_path: Path) -> None:
    write(tmp_path, click2={"impression": ["x"], "t": [START]})
    message = refusal(tmp_path, {"click": CLICK})
    assert "click2.parquet" in message and "VARCHAR" in message and "BIGINT" in message


def test_a_column_of_the_log_has_the_name_of_an_event(tmp_path: Path) -> None:
    write(tmp_path, log={**IMPRESSIONS, "Click_Time": [0, 0, 0]})
    message = refusal(tmp_path, {"click": CLICK})
    assert "data.events.click" in message and "column 'Click_Time' already" in message


def test_an_outcome_is_no_feature(tmp_path: Path) -> None:
    write(tmp_path)
    made = problem(tmp_path)
    features = {"order_time": {"kind": "numeric"}}
    wrong = type(made).model_validate({**made.model_dump(), "features": features, "root": tmp_path})
    with pytest.raises(RecmtlError, match="'order_time' is an outcome"):
        ingest(wrong, tmp_path / "out")


def test_a_damaged_log_of_events_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    whole = (tmp_path / "click.parquet").read_bytes()
    (tmp_path / "click.parquet").write_bytes(whole[:8] + bytes(60) + whole[68:])
    message = refusal(tmp_path, {"click": CLICK})
    assert "click.parquet" in message


def test_a_log_of_events_without_rows_credits_nothing(tmp_path: Path) -> None:
    write(tmp_path, click={"impression": pa.array([], pa.int64()), "t": pa.array([], pa.int64())})
    manifest = ingest(problem(tmp_path, {"click": CLICK}), tmp_path / "out")
    assert manifest["events"]["click"]["rows"] == manifest["events"]["click"]["credited"] == 0


def test_clocks_that_jump_credit_nothing_and_are_counted(tmp_path: Path) -> None:
    """Milliseconds among seconds, a clock that fell back to 1970, and one a year ahead."""
    times = [START * 1000, 2**63 - 1, -(2**63), 0, START + 31_536_000, START + 105]
    write(tmp_path, click={"impression": [1, 1, 1, 2, 2, 3], "t": times})
    counts = ingest(problem(tmp_path, {"click": CLICK}), tmp_path / "out")["events"]["click"]
    names = ("nulls", "before_cause", "outside_window", "credited")
    assert [counts[name] for name in names] == [3, 1, 1, 1]


def test_the_advice_is_about_the_tables_that_are_wrong(tmp_path: Path) -> None:
    clicks = {**CLICKS, "ratio": [1.0, float("inf")]}
    write(tmp_path, click=clicks)
    summed = {"click": {**CLICK, "sum": ["ratio"]}}
    message = refusal(tmp_path, summed)
    assert 'where = "…" in data.events.click' in message and "data.impressions" not in message
    assert "(read by data.events.click)" in message
    write(tmp_path, click=clicks, log={**IMPRESSIONS, "user": [7, 7.5, 8]})
    message = refusal(tmp_path, summed)
    assert 'where = "…" in data.impressions and in data.events.click' in message
    fine = {"click": {**CLICK, "sum": ["ratio"], "where": "ratio < 2"}}
    assert "click.parquet" not in refusal(tmp_path, fine)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("kind = 1", ["data.events.click.where", "'kind' has type VARCHAR", "with the number '1'"]),
        ("kynd = 'a'", ["data.events.click.where", "did you mean 'kind'"]),
        ("kind", ["data.events.click.where", "stands as a boolean"]),
        ("kind like 'a'", ["data.events.click.where", "not allowed"]),
        ("not flag", ["data.events.click.where", "'flag' is neither 0 nor 1 in 1 rows", "e.g. 7"]),
    ],
)
def test_a_where_that_does_not_fit_its_events(tmp_path: Path, where: str, words: list[str]) -> None:
    write(tmp_path, click={**CLICKS, "kind": ["a", "b"], "flag": [0, 7]})
    message = refusal(tmp_path, {"click": {**CLICK, "where": where}})
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(("unit", "each"), [("s", 1000), ("us", 1)])
def test_events_of_another_unit_are_told_which(tmp_path: Path, unit: str, each: int) -> None:
    write(tmp_path, click={"impression": [1, 3], "t": [(START + 3) * each, (START + 101) * each]})
    warned = ingest(problem(tmp_path, {"click": {**CLICK, "unit": unit}}), tmp_path / "out")["warnings"]
    (said,) = [warning for warning in warned if "would make it" in warning]
    assert "data.events.click: the column 't' is no time from 1990 to 2100" in said
    assert f'with unit = "{unit}" in 2 rows' in said
    better = "ms" if each == 1000 else "s"
    assert f"e.g. {(START + 3) * each} in row 0 of {tmp_path}/click.parquet" in said
    assert f'unit = "{better}" would make it a time of 2026-01-01' in said


def test_an_as_of_before_the_log_begins(tmp_path: Path) -> None:
    write(tmp_path)
    message = refusal(tmp_path, {"click": CLICK}, as_of="2025-12-31T23:00:00Z")
    assert "as_of: lies before the log begins" in message
    assert "expected: 2026-01-01 00:00:00 or later" in message
