"""Weights between tasks that move: their formulas, where they come to rest, and what an epoch says."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import softmax
from torch import Tensor

from recmtl.learn import TrainConfig
from recmtl.learn.epoch import Epoch
from recmtl.learn.fit import fit
from recmtl.learn.step import Objective
from recmtl.learn.tasks import TaskStatistics
from recmtl.learn.weighting import LearnedVariances
from recmtl.schema.weighting import DynamicAverage, Uncertainty, WeightingConfig
from tests.learn.test_fit import keep, setup
from tests.model.made_up import TASKS

LOSS = {"ctr": 1.0, "minutes": 3.0}
NAMES = list(LOSS)


def objective_of(weighting: WeightingConfig | None) -> Objective:
    return Objective(TASKS, LOSS, dict.fromkeys(TASKS, TaskStatistics(1, 1.0, 0.5, 1.0)), weighting)


def minimised(objective: Objective, losses: Tensor) -> Tensor:
    """The sum that a step minimises, from the losses (2,) of ctr and minutes."""
    return objective.total(dict(zip(NAMES, losses.unbind(), strict=True)) | objective.weigher.penalties())


def variances(objective: Objective, values: list[float]) -> torch.nn.Parameter:
    """The parameter of uncertainty weighting, in fp64 at these values."""
    weigher = objective.weigher.double()
    assert isinstance(weigher, LearnedVariances)
    weigher.log_variances.data = torch.tensor(values, dtype=torch.float64)
    return weigher.log_variances


def test_uncertainty_is_kendall_s_sum() -> None:
    """ctr: L/σ² + log σ; minutes: 3 · (L/(2σ²) + log σ), from standard deviations of 0.5 and 2."""
    objective = objective_of(Uncertainty())
    own = variances(objective, [2 * math.log(0.5), 2 * math.log(2.0)])
    losses = torch.tensor([0.7, 4.0], dtype=torch.float64, requires_grad=True)
    by_hand = (0.7 / 0.25 + math.log(0.5)) + 3 * (4.0 / (2 * 4.0) + math.log(2.0))
    assert minimised(objective, losses).item() == pytest.approx(by_hand, abs=1e-12)
    assert torch.autograd.gradcheck(lambda losses, own: minimised(objective, losses), (losses, own))


def test_uncertainty_comes_to_rest_at_weights_of_one_over_twice_the_loss() -> None:
    objective, losses = objective_of(Uncertainty()), torch.tensor([0.7, 4.0], dtype=torch.float64)
    own = variances(objective, [0.0, 0.0])

    def value(place: np.ndarray) -> float:
        own.data = torch.from_numpy(place)
        return minimised(objective, losses).item()

    own.data = torch.from_numpy(minimize(value, [0.0, 0.0], tol=1e-12).x)
    with torch.no_grad():
        found = [float(weight) for weight in objective.weights().values()]
    assert found == pytest.approx([1 / (2 * 0.7), 3 / (2 * 4.0)], rel=1e-5)


def test_dynamic_averages_are_liu_s_softmax() -> None:
    objective = objective_of(DynamicAverage(temperature=0.5))
    past = [
        {"loss_train/ctr": 0.9, "loss_train/minutes": 1.0},
        {"loss_train/ctr": 0.6, "loss_train/minutes": 1.0},
        {"loss_train/ctr": 0.54, "loss_train/minutes": 0.5},
    ]
    for epochs in (0, 1):
        objective.weigher.begin(past[:epochs])
        assert objective.weights() == {"ctr": 1.0, "minutes": 3.0}
    for epochs, ratios in ((2, [0.6 / 0.9, 1.0]), (3, [0.9, 0.5])):
        objective.weigher.begin(past[:epochs])
        expected = 2 * softmax(np.array(ratios) / 0.5) * [1.0, 3.0]
        assert [float(w) for w in objective.weights().values()] == pytest.approx(list(expected), rel=1e-6)


def test_a_loss_of_zero_has_neither_risen_nor_fallen() -> None:
    objective = objective_of(DynamicAverage())
    objective.weigher.begin([{"loss_train/ctr": 0.0, "loss_train/minutes": 2.0}] * 2)
    assert objective.weights() == {"ctr": 1.0, "minutes": 3.0}


def epochs_of(folder: Path, weighting: WeightingConfig | None) -> list[Epoch]:
    model, parts, objective = setup(LOSS, weighting=weighting)
    config = TrainConfig(monitor="auc_valid/ctr", epochs=4, patience=4, learning_rate=0.01)
    return list(fit(model, parts, objective, config, keep(folder)))


def test_an_epoch_says_with_which_weights_it_ended(tmp_path: Path) -> None:
    first, second, third, _ = (
        epoch.metrics for epoch in epochs_of(tmp_path, DynamicAverage(temperature=0.3))
    )
    assert first["weight/ctr"] == second["weight/ctr"] == 1.0
    ratios = [second[f"loss_train/{task}"] / first[f"loss_train/{task}"] for task in NAMES]
    expected = 2 * softmax(np.array(ratios) / 0.3) * [1.0, 3.0]
    assert [third[f"weight/{task}"] for task in NAMES] == pytest.approx(list(expected), rel=1e-6)


def test_uncertainty_is_learned_with_the_model(tmp_path: Path) -> None:
    """AdamW's first steps are of the learning rate each: four of .01 up, while ctr's loss is above ½."""
    first = epochs_of(tmp_path, Uncertainty())[0].metrics
    assert first["loss_train/ctr"] > 0.55
    assert first["weight/ctr"] == pytest.approx(math.exp(-0.04), rel=2e-3)
    assert first["loss_train/weighting.log_variances"] != 0.0


def test_fixed_weights_are_not_written_again_at_each_epoch(tmp_path: Path) -> None:
    assert not [name for name in epochs_of(tmp_path, None)[0].metrics if name.startswith("weight")]
