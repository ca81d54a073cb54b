"""The short tables: a row a task for comparing runs, and a row a line for reading."""

from typing import Any

from recmtl.evaluate.brief import by_part, by_task

UNDEFINED = dict.fromkeys(("rmse", "mae", "r2", "rmse_low", "rmse_high"))


def line(part: str, verdict: str, difference: float) -> dict[str, Any]:
    return {
        "part": part, "task": "ctr", "model": "esmm", "seed": 1, "kind": "trained",
        "auc": 0.73188314, "auc_low": 0.7251753, "auc_high": 0.7400009, "logloss": 0.59976,
        "pcoc": 1.045339, "rows": 18943.0, "positives": 8477.0, "base_rate": 0.447500,
        "difference": difference, "verdict": verdict, **UNDEFINED,
    }


def test_a_task_is_one_row_with_a_result_to_compare() -> None:
    (row,) = by_task([line("valid", "worse", -0.0023), line("test", "best", 0.0)])
    assert list(row)[:3] == ["task", "result", "kind"]
    assert row["result"].replace("\N{NO-BREAK SPACE}", " ") == (
        "valid AUC 0.7319 [0.7252 to 0.7400], worse by 0.0023; "
        "test AUC 0.7319 [0.7252 to 0.7400], best; log loss 0.5998, PCOC 1.0453"
    )
    assert (row["auc_valid"], row["rows_test"], row["verdict_test"]) == (0.7319, 18943, "best")
    assert not any(name.startswith(("rmse", "mae", "r2")) for name in row)


def test_a_metric_that_is_not_defined_is_a_dash() -> None:
    bare = {**line("test", "best", 0.0), "verdict": None, "auc": None, "auc_low": None}
    (row,) = by_part([bare])
    assert (row["metric"], row["95 % interval"], row["verdict"]) == ("–", "–", "–")
    assert by_task([bare])[0]["result"].startswith("test")


def test_a_regression_is_judged_by_its_rmse() -> None:
    found = {**line("test", "tied with best", -0.1), "auc": None, "auc_low": None, "auc_high": None,
             "logloss": None, "pcoc": None, "rmse": 2.5, "rmse_low": 2.0, "rmse_high": 3.0,
             "mae": 1.25}
    assert by_part([found]) == [{
        "part": "test", "task": "ctr", "model": "esmm", "metric": "RMSE 2.5000",
        "95 % interval": "2.0000 to 3.0000", "verdict": "tied with best", "kind": "trained",
        "MAE": "1.2500",
    }]
