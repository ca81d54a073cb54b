"""Metrics against scikit-learn and against values worked out by hand."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics as reference

from recmtl.errors import RecmtlError
from recmtl.heads.binary import binary_metrics
from recmtl.heads.measures import auc
from recmtl.heads.regression import regression_metrics
from recmtl.learn.metrics import averaged, task_metrics
from recmtl.learn.tasks import label_space
from recmtl.schema import Task

NULL = np.nan


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_binary_metrics_by_hand() -> None:
    found = binary_metrics(floats(1, 0, 1, 0), floats(0.8, 0.8, 0.6, 0.2))
    # pairs: (.8,.8) tie ½, (.8,.2) 1, (.6,.8) 0, (.6,.2) 1
    assert found["auc"] == 2.5 / 4
    assert found["pcoc"] == pytest.approx(2.4 / 2)
    assert found["logloss"] == pytest.approx(-np.log([0.8, 0.2, 0.6, 0.8]).mean(), rel=1e-6)
    assert (found["rows"], found["positives"], found["base_rate"]) == (4, 2, 0.5)


@pytest.mark.parametrize("rate", [0.5, 0.01, 0.0002])
@pytest.mark.parametrize("levels", [7, 1000, 2**30])
def test_auc_equals_sklearn_with_ties_and_rare_positives(rate: float, levels: int) -> None:
    random = np.random.default_rng(3)
    score = (random.integers(0, levels, 50_000) / levels).astype(np.float32)
    label = (random.random(50_000) < rate).astype(np.float32)
    assert label.sum() > 0
    assert auc(label, score) == pytest.approx(reference.roc_auc_score(label, score), abs=1e-12)


def test_logloss_equals_sklearn() -> None:
    random = np.random.default_rng(4)
    score, label = random.random(1000), (random.random(1000) < 0.3).astype(np.float32)
    expected = reference.log_loss(label, score)
    assert binary_metrics(label, score)["logloss"] == pytest.approx(expected)


def test_a_certain_and_wrong_score_costs_a_finite_loss() -> None:
    assert binary_metrics(floats(1, 0), floats(0, 1))["logloss"] == pytest.approx(23 * np.log(2))


@pytest.mark.parametrize("label", [floats(0, 0, 0), floats(1, 1, 1), floats()])
def test_what_is_not_defined_is_absent(label: np.ndarray) -> None:
    found = binary_metrics(label, np.full(len(label), 0.5))
    assert "auc" not in found
    assert ("pcoc" in found) == bool(label.sum())
    assert all(np.isfinite(v) for v in found.values())


def test_regression_metrics_equal_sklearn() -> None:
    random = np.random.default_rng(5)
    label = random.normal(size=200).astype(np.float32)
    score = (label + random.normal(size=200)).astype(np.float32)
    found = regression_metrics(label, score)
    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(label, score), rel=1e-5)
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(label, score), rel=1e-5)
    assert found["r2"] == pytest.approx(reference.r2_score(label, score), abs=1e-6)
    assert "r2" not in regression_metrics(floats(2, 2), floats(1, 2))


TASKS = {
    "ctr": Task(label="click"),
    "cvr": Task(label="bought", given="click"),
    "spend": Task(label="price", type="regression", given="bought"),
}
LABELS = {
    "click": floats(1, 1, 0, 1, NULL, 1),
    "bought": floats(1, 0, 0, NULL, NULL, 1),
    "price": floats(5, NULL, NULL, NULL, NULL, NULL),
}


def test_label_space_takes_given_rows_with_a_known_label() -> None:
    assert label_space(TASKS["ctr"], LABELS).tolist() == [True, True, True, True, False, True]
    assert label_space(TASKS["cvr"], LABELS).tolist() == [True, True, False, False, False, True]
    assert label_space(TASKS["spend"], LABELS).tolist() == [True] + [False] * 5


def test_task_metrics_are_measured_in_their_label_space() -> None:
    scores = {
        "cvr": floats(0.9, 0.5, 0.99, 0.99, 0.99, 0.4),  # the rows with .99 do not count
        "spend": floats(3, 0, 0, 0, 0, 0),
    }
    found = task_metrics(TASKS, LABELS, scores, "valid")
    assert found["auc_valid/cvr"] == 0.5
    assert found["rows_valid/cvr"] == 3
    assert found["rmse_valid/spend"] == 2
    assert not any("ctr" in name for name in found)


EIGHT = {
    "age": Task(label="age", type="multiclass", classes=3),
    "city": Task(label="city", type="multiclass", classes=2),
    "stars": Task(label="stars", type="ordinal", classes=3),
    "ctr": Task(label="click"),
    "spend": Task(label="price", type="regression"),
    "tip": Task(label="price", type="regression"),
}


def heads() -> dict[str, np.ndarray]:
    """Four rows; the label of `city` is known of two."""
    return {
        "age": np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.6, 0.3, 0.1]]),
        "city": np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.5, 0.5]]),
        "stars": np.array([[0.8, 0.1, 0.1]] * 4),
        "ctr": floats(0.1, 0.2, 0.3, 0.4), "spend": floats(1, 1, 1, 1), "tip": floats(1, 1, 1, 1),
    }


HEADS_LABELS = {
    "age": floats(0, 1, 2, 1), "city": floats(0, 0, NULL, NULL), "stars": floats(0, 0, 0, 1),
    "click": floats(0, 1, 0, 1), "price": floats(1, 2, 3, 4),
}


def test_means_over_tasks_by_hand() -> None:
    found = task_metrics(EIGHT, HEADS_LABELS, heads(), "valid")
    # right: age 3 of 4, city 1 of 2, stars 3 of 4
    assert found["accuracy_valid/tasks.macro"] == pytest.approx((0.75 + 0.5 + 0.75) / 3)
    assert found["accuracy_valid/tasks.weighted"] == pytest.approx(7 / 10)
    age, city = -np.log([0.5, 0.8, 0.6, 0.3]), -np.log([0.9, 0.4])
    assert found["logloss_valid/tasks.macro"] == pytest.approx((age.mean() + city.mean()) / 2)
    assert found["logloss_valid/tasks.weighted"] == pytest.approx((age.sum() + city.sum()) / 6)
    means = {name for name in found if "/tasks." in name}
    assert len(means) == 4, "one task has an auc, errors of several have units"
    assert averaged(EIGHT) == {"logloss": ["age", "city"], "accuracy": ["age", "city", "stars"]}


def test_means_are_over_all_of_their_tasks_or_there_is_none() -> None:
    scores = heads()
    del scores["stars"]
    found = task_metrics(EIGHT, HEADS_LABELS, scores, "test")
    means = {f"logloss_test/{mean}" for mean in ("tasks.macro", "tasks.weighted")}
    assert {name for name in found if "/tasks." in name} == means
    both = {"ctr": Task(label="click"), "like": Task(label="liked")}
    labels = {"click": floats(0, 1, 0), "liked": floats(0, 0, 0)}
    scores = dict.fromkeys(both, floats(0.1, 0.2, 0.3))
    assert not any("/tasks." in name for name in task_metrics(both, labels, scores, "test"))
    labels["liked"] = floats(1, 0, NULL)
    found = task_metrics(both, labels, scores, "test")  # AUC ½ of three rows and 0 of two
    assert found["auc_test/tasks.macro"] == 0.25
    assert found["auc_test/tasks.weighted"] == pytest.approx(0.3)


def test_a_score_that_is_nan_names_task_and_row() -> None:
    with pytest.raises(RecmtlError, match=r"(?s)'ctr'.*row 2 is nan"):
        task_metrics(TASKS, LABELS, {"ctr": floats(0, 0, NULL, 0, 0, 0)}, "test")


def test_scores_of_another_length_are_refused() -> None:
    with pytest.raises(RecmtlError, match="one score a row"):
        task_metrics(TASKS, LABELS, {"ctr": floats(0, 0)}, "test")


def test_metrics_need_no_torch() -> None:
    code = "import sys, recmtl.learn.metrics, recmtl.learn.gates; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
