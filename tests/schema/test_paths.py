"""What a path in a file means, and which columns a problem forbids as features."""

from pathlib import Path

import pytest

from recmtl.errors import RecmtlError
from recmtl.schema import Data, Impressions, Problem, Task, TimeSplit
from recmtl.schema.config import expand
from recmtl.schema.features import Categorical


def test_a_path_is_relative_to_its_file_with_variables_filled_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGS", "/logs")
    monkeypatch.setenv("DAY", "05")
    root = Path("/project/configs")
    assert expand("log.parquet", root) == "/project/configs/log.parquet"
    assert expand("../data/*.parquet", root) == "/project/data/*.parquet"
    assert expand("${LOGS}/day=${DAY}/*", root) == "/logs/day=05/*"
    assert expand("s3://bucket/a/../b", root) == "s3://bucket/a/../b"


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOGS", raising=False)
    with pytest.raises(RecmtlError, match="environment variable LOGS is not set"):
        expand("${LOGS}/x", Path())


def test_outcomes_and_label_inputs_are_forbidden_with_their_reason() -> None:
    problem = Problem(
        name="p",
        data=Data(
            impressions=Impressions(path="x", day="d"),
            split=TimeSplit(valid="2022-05-03", test="2022-05-04"),
            outcomes=("is_*", "*_time"),
        ),
        labels={"click": "is_click"},
        features={"user": Categorical()},
        tasks={"ctr": Task(label="click")},
    )
    reasons = problem.forbidden(
        {"is_click": "click"}, ("user", "is_click", "is_like", "stay_time", "time_stay")
    )
    assert reasons == {
        "click": "the label 'click' itself",
        "is_click": "an input of the label 'click'",
        "is_like": "an outcome ([data] outcomes)",
        "stay_time": "an outcome ([data] outcomes)",
    }


def test_a_day_given_as_a_date_or_a_text_is_the_same_split() -> None:
    from datetime import date

    assert TimeSplit.model_validate({"valid": date(2022, 5, 3), "test": "2022-05-04"}) == TimeSplit(
        valid="2022-05-03", test="2022-05-04"
    )
    assert TimeSplit(valid="2022-05-03", test="2022-05-04").by_day
    assert not TimeSplit(valid="2022-05-03", test="2022-05-04T12:00").by_day
