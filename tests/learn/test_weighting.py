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
from recmtl.learn.weighting import LearnedVariances, Weigher
from recmtl.learn.weighting.gradients import Balanced
from recmtl.learn.weighting.gramian import mgda
from recmtl.schema.weighting import (
    FAMO,
    IMTLG,
    MGDA,
    CAGrad,
    DynamicAverage,
    GradNorm,
    NashMTL,
    PCGrad,
    Uncertainty,
    UPGrad,
    WeightingConfig,
)
from recmtl.suite.made_up import TASKS
from tests.learn.test_fit import keep, setup

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


class Adam:
    """Kingma and Ba, ICLR 2015, algorithm 1, with decay as a part of the gradient."""

    def __init__(self, rate: float, decay: float = 0.0) -> None:
        self.rate, self.decay, self.taken = rate, decay, 0
        self.first, self.second = np.zeros(2), np.zeros(2)

    def step(self, place: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        self.taken += 1
        gradient = gradient + self.decay * place
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        mean, square = (m / (1 - b**self.taken) for m, b in ((self.first, 0.9), (self.second, 0.999)))
        return place - self.rate * mean / (np.sqrt(square) + 1e-8)


def doubled(weighting: WeightingConfig) -> tuple[Weigher, torch.optim.Optimizer]:
    weigher = objective_of(weighting).weigher.double()
    (optimizer,) = weigher.optimizers(TrainConfig(monitor="auc_valid/ctr"))
    return weigher, optimizer


def told(weigher: Weigher, losses: list[float], gramian: np.ndarray | None = None) -> list[float]:
    """The factors of a step."""
    matrix = None if gramian is None else torch.from_numpy(gramian)
    weigher.weigh(torch.tensor(losses, dtype=torch.float64), matrix)
    return [float(factor) for factor in weigher.factors().values()]


def test_famo_is_liu_s_update_of_log_losses() -> None:
    weigher, _ = doubled(FAMO(learning_rate=0.1, decay=0.01))
    adam, logits = Adam(0.1, 0.01), np.zeros(2)
    for before, after in (([0.7, 3.0], [0.6, 2.9]), ([0.6, 2.0], [0.7, 1.0]), ([0.5, 2.0], [0.4, 0.9])):
        shares = softmax(logits)
        scale = 1 / (shares / before).sum()  # the paper's c: the weights c · z / L sum to 1
        assert told(weigher, before) == pytest.approx(list(2 * scale * shares / before), rel=1e-6)
        weigher.look_back(torch.tensor(after, dtype=torch.float64))
        fallen = np.log(before) - np.log(after)
        logits = adam.step(logits, (np.diag(shares) - np.outer(shares, shares)) @ fallen)
    assert weigher.get_parameter("logits").tolist() == pytest.approx(list(logits), rel=1e-6)


def test_famo_hears_nothing_of_a_task_without_rows() -> None:
    weigher, _ = doubled(FAMO())
    assert told(weigher, [0.7, 0.0]) == pytest.approx([1.0, 1.0])
    weigher.look_back(torch.tensor([0.6, 0.0], dtype=torch.float64))
    assert torch.isfinite(weigher.get_parameter("logits")).all()


def test_gradnorm_is_chen_s_update() -> None:
    weigher, optimizer = doubled(GradNorm(alpha=0.5, learning_rate=0.1))
    adam, weights = Adam(0.1), np.ones(2)
    first = np.array([0.7, 3.0])
    for losses, norms in (([0.7, 3.0], [0.1, 2.0]), ([0.6, 1.5], [0.2, 1.0]), ([0.5, 1.0], [0.3, 0.5])):
        gramian = np.diag(np.square(norms))
        assert told(weigher, losses, gramian) == pytest.approx(list(weights), rel=1e-6)
        left = losses / first
        targets = (weights * norms).mean() * (left / left.mean()) ** 0.5
        apart = weights * norms - targets
        (penalty,) = weigher.penalties().values()
        assert penalty.item() == pytest.approx(np.abs(apart).sum(), rel=1e-6)
        optimizer.zero_grad()
        penalty.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        weights = adam.step(weights, np.sign(apart) * norms)
        weights *= 2 / weights.sum()


def test_a_task_without_a_gradient_keeps_its_weight_and_has_no_say() -> None:
    """The shortest mean of vectors of length 1 and 2 at a right angle has shares of 4/5 and 1/5."""
    weigher = Balanced(("ctr", "minutes", "cvr"), "features", mgda).double()
    found = told(weigher, [1.0, 1.0, 0.0], np.diag([1.0, 4.0, 0.0]))
    assert found == pytest.approx([1.6, 0.4, 1.0])
    assert told(weigher, [1.0, 1.0, 0.0], np.full((3, 3), np.nan)) == found
    assert told(weigher, [1.0, 0.0, 0.0], np.diag([9.0, 0.0, 0.0])) == [1.0, 1.0, 1.0]


GRADIENTS = [
    PCGrad(), MGDA(), CAGrad(), IMTLG(), NashMTL(), UPGrad(), GradNorm(),
    UPGrad(on="parameters"), GradNorm(on="parameters"), FAMO(),
]


@pytest.mark.parametrize("weighting", GRADIENTS, ids=repr)
def test_a_model_learns_all_its_tasks_by_weights_that_move(
    tmp_path: Path, weighting: WeightingConfig
) -> None:
    first, *_, last = (epoch.metrics for epoch in epochs_of(tmp_path, weighting))
    for task in NAMES:
        assert last[f"loss_train/{task}"] < first[f"loss_train/{task}"]
    factors = [last["weight/ctr"], last["weight/minutes"] / 3.0]
    assert factors != [1.0, 1.0]
    if not isinstance(weighting, PCGrad | CAGrad | UPGrad):
        assert sum(factors) == pytest.approx(2.0, rel=1e-5)


def test_fixed_weights_are_not_written_again_at_each_epoch(tmp_path: Path) -> None:
    assert not [name for name in epochs_of(tmp_path, None)[0].metrics if name.startswith("weight")]
