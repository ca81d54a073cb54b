"""Several numbers and log1p: losses and metrics by hand, with scikit-learn, and label by label."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from recmtl.batch import Batch
from recmtl.errors import RecmtlError
from recmtl.heads import head_of
from recmtl.heads.regression import vector_metrics
from recmtl.learn.losses import task_loss
from recmtl.learn.tasks import statistics
from recmtl.schema import Task
from recmtl.schema.losses import AbsoluteError, Huber, LossConfig, SquaredError
from recmtl.suite.made_up import make_batch

NULL = math.nan
BOTH = Task(label=("a", "b"), type="regression")
LOG = Task(label="a", type="regression", log=True)
A, B = [1.0, 3.0, NULL, NULL, 8.0], [100.0, NULL, 400.0, NULL, 700.0]


def batch_of(**labels: list[float]) -> Batch:
    rows = len(next(iter(labels.values())))
    columns = {name: torch.tensor(label, dtype=torch.float64) for name, label in labels.items()}
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0][:rows], dtype=torch.float64)
    return replace(make_batch(rows), labels=columns, weight=weight)


def known_of(task: Task, batch: Batch):
    labels = {name: label.numpy() for name, label in batch.labels.items()}
    return statistics({"own": task}, labels, batch.weight.numpy())["own"]


def test_statistics_are_each_label_s_own() -> None:
    known = known_of(BOTH, batch_of(a=A, b=B))
    assert known.rows == 4 and known.share == pytest.approx((1 + 2 + 3 + 5) / 5)
    assert known.mean == pytest.approx((4.0, 400.0))
    assert known.std == pytest.approx((np.std([1, 3, 8]), np.std([100, 400, 700])))
    start = head_of(BOTH).start(known.mean, known.std)
    assert (start.outputs, start.shift, start.scale) == (2, known.mean, known.std)


@pytest.mark.parametrize(
    ("options", "of"),
    [(SquaredError(), lambda e: e * e), (AbsoluteError(), abs),
     (Huber(delta=0.5), lambda e: e * e / 2 if abs(e) <= 0.5 else 0.5 * (abs(e) - 0.25))],
    ids=["squared", "absolute", "huber"],
)
def test_a_row_s_loss_is_the_mean_over_the_labels_that_it_has(options: LossConfig, of) -> None:
    batch = batch_of(a=A, b=B)
    known = known_of(BOTH, batch)
    raw = torch.tensor(
        [[2.0, 90.0], [2.5, 9.0], [1.0, 410.0], [7.0, 7.0], [9.0, 800.0]],
        dtype=torch.float64, requires_grad=True,
    )
    sa, sb = known.std
    by_hand = [
        (of((2.0 - 1.0) / sa) + of((90.0 - 100.0) / sb)) / 2, of((2.5 - 3.0) / sa),
        of((410.0 - 400.0) / sb), 0.0, (of((9.0 - 8.0) / sa) + of((800.0 - 700.0) / sb)) / 2,
    ]
    found = task_loss(BOTH, raw, batch, known, options)
    expected = np.dot(by_hand, [1, 2, 3, 4, 5]) / (5 * known.share)
    assert found.item() == pytest.approx(expected, abs=1e-9)
    assert torch.autograd.gradcheck(lambda z: task_loss(BOTH, z, batch, known, options), (raw,))
    found.backward()
    assert raw.grad is not None and torch.isfinite(raw.grad).all()
    assert (raw.grad == 0).tolist() == [[False, False], [False, True], [True, False], [True, True],
                                        [False, False]]


def test_a_label_that_train_lacks_is_named() -> None:
    with pytest.raises(RecmtlError, match="no rows with a 'b'"):
        known_of(BOTH, batch_of(a=[1.0, 2.0], b=[NULL, NULL]))


def test_log_is_the_squared_error_of_log1p_and_scores_are_in_the_label_s_unit() -> None:
    batch = batch_of(a=[0.0, 1.0, 9.0, NULL])
    known = known_of(LOG, batch)
    logs = np.log1p([0.0, 1.0, 9.0])
    assert known.mean == pytest.approx(logs.mean()) and known.std == pytest.approx(logs.std())
    raw = torch.tensor([0.5, 0.5, 2.0, 1.0], dtype=torch.float64)
    errors = (np.array([0.5, 0.5, 2.0]) - logs) / logs.std()
    expected = np.dot(errors**2, [1, 2, 3]) / (4 * known.share)
    assert task_loss(LOG, raw, batch, known).item() == pytest.approx(expected, abs=1e-9)
    np.testing.assert_allclose(head_of(LOG).score(raw), np.exp(raw.numpy()) - 1.0)


def test_metrics_are_those_of_each_label_in_units_of_its_spread() -> None:
    random = np.random.default_rng(0)
    label = random.normal([5.0, 300.0], [1.0, 90.0], (200, 2))
    score = label + random.normal(0, [0.4, 60.0], (200, 2))
    label[random.random((200, 2)) < 0.3] = NULL
    r2 = [r2_score(label[known, j], score[known, j]) for j, known in enumerate(~np.isnan(label).T)]
    found = vector_metrics(label, score)
    assert found["r2"] == pytest.approx(np.mean(r2), abs=1e-9)
    assert found["nrmse"] == pytest.approx(np.sqrt(1 - np.mean(r2)), abs=1e-9)
    errors = np.abs(score - label) / np.nanstd(label, axis=0)
    assert found["nmae"] == pytest.approx(np.nanmean(errors, axis=0).mean(), abs=1e-9)
    assert found["rows"] == 200


def test_a_label_that_does_not_change_is_left_out() -> None:
    label = np.array([[1.0, 7.0], [3.0, 7.0], [NULL, 7.0]])
    score = np.array([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]])
    expected = {"rows": 3.0, "nrmse": 1.0, "nmae": 1.0, "r2": 0.0, "xauc": 0.5}
    assert vector_metrics(label, score) == expected
    assert vector_metrics(label[:, 1:], score[:, 1:]) == {"rows": 3.0}
