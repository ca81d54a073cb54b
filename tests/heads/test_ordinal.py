"""Ordered classes: losses against their formulas, thresholds in their order, metrics by scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn import metrics as reference

from recmtl.heads import head_of
from recmtl.heads.ordinal import median_class, ordinal_metrics
from recmtl.learn.losses import LOSSES
from recmtl.learn.tasks import TaskStatistics, statistics
from recmtl.model.mlp import Thresholds, Tower
from recmtl.schema import Task
from recmtl.schema.losses import Coral, LossConfig, ProportionalOdds

TASK = Task(label="y", type="ordinal", classes=4)
KNOWN = TaskStatistics(rows=9, share=1.0, mean=(0.25,) * 4, std=(1.0,) * 4)
AT = np.array([-1.0, 0.2, 2.5])
LABEL = np.array([0, 1, 2, 3, 1, 0])
Z = np.array([0.3, -2.0, 1.0, 4.0, 0.1, -0.7])
each = pytest.mark.parametrize("options", [ProportionalOdds(), Coral()], ids=lambda o: o.kind)


def loss(z: torch.Tensor, at: torch.Tensor, options: LossConfig) -> torch.Tensor:
    raw = z.unsqueeze(1) - at
    return LOSSES[options.kind](raw, torch.from_numpy(LABEL).to(raw.dtype), KNOWN, options)


@each
def test_the_loss_is_its_formula(options: LossConfig) -> None:
    above = expit(Z[:, None] - AT)
    if options.kind == "coral":
        passed = LABEL[:, None] > np.arange(3)
        expected = -np.where(passed, np.log(above), np.log(1 - above)).sum(axis=1)
    else:
        edges = np.column_stack([np.ones(6), above, np.zeros(6)])
        expected = -np.log((edges[:, :-1] - edges[:, 1:])[np.arange(6), LABEL])
    found = loss(torch.from_numpy(Z), torch.from_numpy(AT), options)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@each
def test_its_gradient_is_that_of_the_loss(options: LossConfig) -> None:
    z, at = torch.from_numpy(Z).requires_grad_(), torch.from_numpy(AT).requires_grad_()
    assert torch.autograd.gradcheck(lambda z, at: loss(z, at, options), (z, at))


@pytest.mark.parametrize("size", [1.0, 200.0, 1e4])
@each
def test_any_logit_has_a_finite_loss_and_gradient(options: LossConfig, size: float) -> None:
    z = torch.tensor([-size, size, -size, size, 0.0, size]).requires_grad_()
    found = loss(z, torch.tensor([-1e-4, 0.0, 1e-4]), options)
    found.sum().backward()
    assert torch.isfinite(found).all() and z.grad is not None and torch.isfinite(z.grad).all()


def test_scores_are_probabilities_that_give_the_cumulative_ones_back() -> None:
    raw = torch.from_numpy(Z[:, None] - AT)
    score = head_of(TASK).score(raw).numpy()
    np.testing.assert_allclose(score.sum(axis=1), 1.0)
    np.testing.assert_allclose(1 - np.cumsum(score, axis=1)[:, :-1], expit(raw.numpy()), atol=1e-12)
    likelihood = loss(torch.from_numpy(Z), torch.from_numpy(AT), ProportionalOdds())
    np.testing.assert_allclose(-np.log(score[np.arange(6), LABEL]), likelihood, atol=1e-9)


def test_thresholds_start_at_the_shares_of_train_and_keep_their_order() -> None:
    labels = {"y": np.array([0, 0, 0, 1, 1, 3, 2, np.nan, 3, 3], dtype=np.float32)}
    known = statistics({"t": TASK}, labels, np.ones(10))["t"]
    start = head_of(TASK).start(known.mean, known.std)
    thresholds = Thresholds(start.thresholds).double()
    with torch.no_grad():
        score = head_of(TASK).score(thresholds(torch.zeros(1)))
    np.testing.assert_allclose(score[0].numpy(), [3 / 9, 2 / 9, 1 / 9, 3 / 9], atol=1e-6)
    optimizer = torch.optim.SGD(thresholds.parameters(), lr=0.5)
    for _ in range(20):  # pulls the last threshold below all others
        optimizer.zero_grad()
        (-thresholds(torch.zeros(4))[:, -1].sum()).backward()
        optimizer.step()
    assert (thresholds(torch.zeros(1)).detach().diff() < 0).all()


def test_a_class_that_train_lacks_has_a_threshold_of_its_own() -> None:
    at = head_of(TASK).start((0.5, 0.0, 0.0, 0.5), (0.5, 1.0, 1.0, 0.5)).thresholds
    assert len(at) == 3 and (np.diff(at) > 0).all()


def test_one_weight_a_unit_moves_all_thresholds_alike() -> None:
    tower = Tower(3, [4], start=head_of(TASK).start(KNOWN.mean, KNOWN.std))
    raw = tower(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))
    assert raw.shape == (5, 3)
    torch.testing.assert_close(raw.diff(dim=1), raw.diff(dim=1)[:1].expand(5, 2))


def test_metrics_are_scikit_learn_s() -> None:
    random = np.random.default_rng(0)
    label = random.integers(0, 4, 400)
    score = random.dirichlet(np.ones(4), 400) + np.eye(4)[label]
    score /= score.sum(axis=1, keepdims=True)
    found, median = ordinal_metrics(label.astype(np.float32), score), median_class(score)
    by_hand = [next(k for k in range(4) if row[: k + 1].sum() >= 0.5) for row in score]
    assert median.tolist() == by_hand
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(label, median), abs=1e-12)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(label, median), abs=1e-12)
    kappa = reference.cohen_kappa_score(label, median, weights="quadratic")
    assert found["kappa"] == pytest.approx(kappa, abs=1e-9)
    assert found["logloss"] == pytest.approx(reference.log_loss(label, score), abs=1e-9)


def test_kappa_is_absent_where_nothing_differs() -> None:
    found = ordinal_metrics(np.array([1.0, 1.0]), np.array([[0.1, 0.8, 0.1]] * 2))
    assert "kappa" not in found and found["mae"] == 0.0
