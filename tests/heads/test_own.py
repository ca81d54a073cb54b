"""Losses and metrics of packages on tasks of other types: which they measure, and what they are given."""

from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from recmtl.heads import head_of
from recmtl.learn.losses import task_loss
from recmtl.learn.metrics import task_metrics
from recmtl.learn.tasks import label_space
from recmtl.schema.losses import OwnLoss
from recmtl.schema.metrics import MetricConfig, is_higher_better
from recmtl.schema.tasks import TaskType
from tests.heads.made_up import TASKS, batch_of, objective_of


class Brier(MetricConfig):
    kind: Literal["brier"] = "brier"
    type: ClassVar[TaskType] = "multiclass"
    higher_is_better: ClassVar[bool] = False

    def measure(self, label: np.ndarray, score: np.ndarray) -> float:
        return float(((score - np.eye(score.shape[1])[label.astype(int)]) ** 2).sum(axis=1).mean())


class Bias(MetricConfig):
    kind: Literal["bias"] = "bias"
    type: ClassVar[TaskType] = "regression"

    def measure(self, label: np.ndarray, score: np.ndarray) -> float:
        assert label.ndim == 1
        return float((score - label).mean())


class Biases(MetricConfig):
    kind: Literal["biases"] = "biases"
    type: ClassVar[TaskType] = "regression"
    several: ClassVar[bool] = True

    def measure(self, label: np.ndarray, score: np.ndarray) -> float:
        return float(np.abs(np.nanmean(score - label, axis=0)).max())


class Cauchy(OwnLoss):
    kind: Literal["cauchy"] = "cauchy"
    type: ClassVar[TaskType] = "regression"

    def rows(self, raw: Tensor, label: Tensor, mean: float | Tensor, std: float | Tensor) -> Tensor:
        return torch.log1p(((raw - label) / std).square())


def test_a_metric_is_of_tasks_of_its_type_and_of_one_label_or_of_several() -> None:
    labels = {name: label.numpy() for name, label in batch_of(50).labels.items()}
    random, scores = np.random.default_rng(0), {}
    for name, task in TASKS.items():
        columns = head_of(task).columns
        scores[name] = random.dirichlet(np.ones(columns or 1), 50) if columns else random.random(50)
    found = task_metrics(TASKS, labels, scores, "valid", [Brier(), Bias(), Biases()])
    own = {name for name in found if name.startswith(("brier", "bias"))}
    assert own == {"brier_valid/multiclass", "bias_valid/regression", "bias_valid/log",
                   "biases_valid/vector", "biases_valid/log_vector"}
    space = label_space(TASKS["multiclass"], labels)
    rows = zip(labels["rating"][space].astype(int), scores["multiclass"][space], strict=True)
    by_hand = np.mean([(score**2).sum() + 1 - 2 * score[label] for label, score in rows])
    assert found["brier_valid/multiclass"] == pytest.approx(by_hand, abs=1e-9)
    assert not is_higher_better("brier", [Brier()]) and is_higher_better("kappa", [Brier()])


def test_a_loss_of_regressions_is_one_of_several_numbers_too() -> None:
    task, batch = TASKS["vector"], batch_of(50)
    known = objective_of(task, batch).statistics["own"]
    raw = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    label = torch.stack([batch.labels[name] for name in task.labels], dim=1)
    rows = torch.log1p(((raw - label) / torch.tensor(known.std)).square()).nanmean(dim=1)
    expected = (rows.nan_to_num() * batch.weight).sum() / (50 * known.share)
    torch.testing.assert_close(task_loss(task, raw, batch, known, Cauchy()), expected)
