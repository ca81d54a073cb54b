"""Watch time by weighted logistic regression: its formula, and what the odds come to."""

import math

import numpy as np
import pytest
import torch
from scipy.special import log_expit
from torch import Tensor

from recmtl.errors import RecmtlError
from recmtl.heads import head_of
from recmtl.learn.losses import LOSSES
from recmtl.learn.tasks import TaskStatistics, statistics
from recmtl.schema import Task
from recmtl.schema.losses import WeightedLogistic

TASK = Task(label="y", type="watch_time")
TIMES = np.array([0.0, 0.0, 30.0, 0.0, 90.0, 0.0, 0.0, 0.0])
Z = np.array([0.3, -2.0, 5.0, 4.0, -0.1, 30.0, -200.0, 200.0])
KNOWN = statistics({"t": TASK}, {"y": TIMES}, np.ones(8))["t"]
PAPER, EVERY = WeightedLogistic(negatives="unwatched"), WeightedLogistic()
each = pytest.mark.parametrize("options", [PAPER, EVERY], ids=lambda o: o.negatives)


def loss(z: Tensor, options: WeightedLogistic, known: TaskStatistics = KNOWN) -> Tensor:
    return LOSSES["weighted_logistic"](z, torch.from_numpy(TIMES).to(z.dtype), known, options)


@each
def test_the_loss_is_its_formula(options: WeightedLogistic) -> None:
    negative = np.ones(8) if options is EVERY else TIMES == 0
    expected = -(TIMES * log_expit(Z) + negative * log_expit(-Z)) / 15.0
    np.testing.assert_allclose(loss(torch.from_numpy(Z), options), expected, rtol=1e-12)
    raw = torch.from_numpy(Z[:5]).repeat(2)[:8].requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, options), (raw,))


@pytest.mark.parametrize(("options", "expected"), [(PAPER, 120 / 6), (EVERY, 120 / 8)])
def test_what_the_score_becomes(options: WeightedLogistic, expected: float) -> None:
    """Of rows that nothing tells apart: time over rows that were not watched, or over all rows."""
    z = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([z], max_iter=100, tolerance_grad=1e-12, tolerance_change=1e-16)

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = loss(z.expand(8), options).mean()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    assert head_of(TASK).score(z).item() == pytest.approx(expected, rel=1e-6)


def test_it_starts_at_the_mean_time() -> None:
    assert KNOWN.mean == (15.0, 0.75)
    assert math.exp(head_of(TASK).start(KNOWN.mean, KNOWN.std).shift) == pytest.approx(15.0)


def test_without_a_row_that_was_not_watched_the_paper_s_odds_have_no_bound() -> None:
    known = TaskStatistics(8, 1.0, (15.0, 0.0), (1.0, 1.0))
    with pytest.raises(RecmtlError, match="every row of train was watched"):
        loss(torch.zeros(8), PAPER, known)
    assert torch.isfinite(loss(torch.zeros(8), EVERY, known)).all()


def test_times_of_0_alone_are_nothing_to_learn_from() -> None:
    with pytest.raises(RecmtlError, match="only 0"):
        statistics({"t": TASK}, {"y": np.zeros(3)}, np.ones(3))
