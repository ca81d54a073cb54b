"""Losses by hand: label spaces, null labels, weights, and the share that divides them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from recmtl.batch import Batch
from recmtl.errors import RecmtlError
from recmtl.learn.losses import task_loss
from recmtl.learn.tasks import TaskStatistics, label_space, statistics
from recmtl.schema import Task
from recmtl.suite.made_up import make_batch

NULL = float("nan")
CVR = Task(label="converted", given="click")


def batch_of(click: list[float], converted: list[float], weight: list[float] | None = None) -> Batch:
    empty = make_batch(len(click))
    return replace(
        empty, labels={"click": torch.tensor(click), "converted": torch.tensor(converted)},
        weight=torch.tensor(weight or [1.0] * len(click)),
    )


def test_a_conditioned_loss_by_hand() -> None:
    batch = batch_of([1, 1, 0, 1], [1, 0, 0, NULL], [1.0, 2.0, 5.0, 7.0])
    known = TaskStatistics(rows=2, share=0.5, mean=0.5, std=1.0)
    raw = torch.tensor([0.3, -1.2, 9.0, 9.0], requires_grad=True)
    loss = task_loss(CVR, raw, batch, known)
    by_hand = (math.log1p(math.exp(-0.3)) + 2.0 * math.log1p(math.exp(-1.2))) / (4 * 0.5)
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)
    loss.backward()
    assert raw.grad is not None and raw.grad[2:].tolist() == [0.0, 0.0]
    assert torch.isfinite(raw.grad).all()


def test_a_task_weighs_the_same_in_a_batch_with_few_clicks() -> None:
    """The loss per clicked row does not grow when the batch happens to hold fewer of them."""
    known = TaskStatistics(rows=2, share=0.5, mean=0.5, std=1.0)
    one = task_loss(CVR, torch.zeros(4), batch_of([1, 0, 0, 0], [1, 0, 0, 0]), known)
    three = task_loss(CVR, torch.zeros(4), batch_of([1, 1, 1, 0], [1, 0, 1, 0]), known)
    assert three.item() == pytest.approx(3 * one.item())


def test_squared_error_is_in_units_of_the_label_s_spread() -> None:
    batch = batch_of([1, 0], [3.0, 7.0])
    task = Task(label="converted", type="regression")
    loss = task_loss(task, torch.tensor([1.0, 7.0]), batch, TaskStatistics(2, 1.0, 5.0, 2.0))
    assert loss.item() == pytest.approx(((3.0 - 1.0) / 2.0) ** 2 / 2)


def test_statistics_of_the_label_space() -> None:
    labels = {"click": np.array([1, 1, 0, 1, NULL]), "converted": np.array([1, 0, 0, NULL, 1])}
    found = statistics({"cvr": CVR}, labels, np.array([1.0, 3.0, 1.0, 1.0, 1.0]))["cvr"]
    assert (found.rows, found.mean, found.share) == (2, 0.5, (1.0 + 3.0) / 5)
    assert label_space(CVR, labels).tolist() == [True, True, False, False, False]


def test_statistics_are_the_same_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recmtl.learn.tasks.BLOCK", 3)
    label = np.array([1.0, np.nan, 4.0, 0.5, 2.0, np.nan, np.nan, 7.0], dtype=np.float32)
    weight = np.arange(8, dtype=np.float32)
    known = ~np.isnan(label)
    found = statistics({"watch": Task(label="seconds", type="regression")}, {"seconds": label}, weight)
    assert found["watch"].rows == 5
    assert found["watch"].share == weight[known].sum() / 8
    assert found["watch"].mean == pytest.approx(label[known].mean())
    assert found["watch"].std == pytest.approx(label[known].std())


@pytest.mark.parametrize("converted", [[0, 0, 0], [1, 1, 1], [NULL, NULL, NULL]])
def test_a_label_that_never_changes_is_refused(converted: list[float]) -> None:
    labels = {"click": np.ones(3), "converted": np.array(converted, dtype=float)}
    with pytest.raises(RecmtlError, match="task cvr: nothing to learn"):
        statistics({"cvr": CVR}, labels, np.ones(3))


def test_a_label_space_without_weight_is_refused() -> None:
    labels = {"click": np.ones(3), "converted": np.array([1.0, 0.0, 1.0])}
    with pytest.raises(RecmtlError, match="every row of its label space has weight 0"):
        statistics({"cvr": CVR}, labels, np.zeros(3))
