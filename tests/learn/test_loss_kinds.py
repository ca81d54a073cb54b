"""Each kind of loss against its written formula, at logits of any size, and its gradient."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit
from sklearn.metrics import log_loss
from torch import Tensor

from recmtl.batch import Batch, Output
from recmtl.learn.losses import LOSSES, task_loss
from recmtl.learn.step import Objective
from recmtl.learn.tasks import TaskStatistics
from recmtl.schema import Task
from recmtl.schema.losses import (
    KINDS,
    AbsoluteError,
    CrossEntropy,
    Focal,
    Huber,
    LossConfig,
    SquaredError,
)
from recmtl.suite.made_up import make_batch

KNOWN = TaskStatistics(rows=100, share=1.0, mean=0.02, std=2.5)
LOGITS = np.array([-200.0, -17.0, -1.3, -1e-3, 0.0, 0.4, 2.0, 30.0, 200.0])
EACH_KIND = [
    CrossEntropy(), CrossEntropy(smoothing=0.1), CrossEntropy(positive_weight=7.0),
    CrossEntropy(logit_adjustment=1.0), CrossEntropy(smoothing=0.2, positive_weight=3.0, negatives=0.3),
    Focal(), Focal(gamma=0.5, alpha=0.25), Focal(gamma=0.0), SquaredError(), AbsoluteError(),
    Huber(delta=0.7),
]
each_kind = pytest.mark.parametrize("options", EACH_KIND, ids=repr)


def losses(options: LossConfig, raw: np.ndarray, label: float) -> np.ndarray:
    """A kind's loss of each row, in fp64."""
    one = torch.full((len(raw),), label, dtype=torch.float64)
    return LOSSES[options.kind](torch.from_numpy(raw), one, KNOWN, options).numpy()


def equal(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_every_kind_for_one_number_a_row_is_tried_here() -> None:
    """Those for several are in tests/heads."""
    names = {kind.model_fields["kind"].default: kind for kind in KINDS}
    assert names.keys() == LOSSES.keys()
    for_one = {name for name, kind in names.items() if kind.type in ("binary", "regression")}
    assert {options.kind for options in EACH_KIND} == for_one


def test_cross_entropy_is_sklearn_s_log_loss() -> None:
    generator = np.random.default_rng(0)
    raw, label = generator.normal(0, 3, 500), generator.integers(0, 2, 500)
    found = np.where(label == 1, losses(CrossEntropy(), raw, 1.0), losses(CrossEntropy(), raw, 0.0))
    assert found.mean() == pytest.approx(log_loss(label, expit(raw)), abs=1e-12)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_smoothing_mixes_both_labels(label: float) -> None:
    target = {0.0: 0.05, 1.0: 0.95}[label]
    expected = -target * log_expit(LOGITS) - (1 - target) * log_expit(-LOGITS)
    equal(losses(CrossEntropy(smoothing=0.1), LOGITS, label), expected)


def test_a_positive_s_weight_multiplies_positives_alone() -> None:
    equal(losses(CrossEntropy(positive_weight=7.0), LOGITS, 1.0), -7.0 * log_expit(LOGITS))
    equal(losses(CrossEntropy(positive_weight=7.0), LOGITS, 0.0), -log_expit(-LOGITS))


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_logit_adjustment_is_a_softmax_with_priors(tau: float) -> None:
    """Menon et al., equation 10, of two classes whose scores are 0 and z."""
    scores = np.stack([np.zeros_like(LOGITS), LOGITS]) + tau * np.log([[0.98], [0.02]])
    for label in (0, 1):
        expected = np.logaddexp(*scores) - scores[label]
        equal(losses(CrossEntropy(logit_adjustment=tau), LOGITS, label), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_is_its_formula(gamma: float) -> None:
    raw = LOGITS[1:-1]
    positive, negative = expit(raw), expit(-raw)
    with_alpha = Focal(gamma=gamma, alpha=0.25)
    equal(losses(Focal(gamma=gamma), raw, 1.0), -(negative**gamma) * log_expit(raw))
    equal(losses(with_alpha, raw, 1.0), -0.25 * negative**gamma * log_expit(raw))
    equal(losses(with_alpha, raw, 0.0), -0.75 * positive**gamma * log_expit(-raw))


def test_regressions_by_hand() -> None:
    """Errors of 0.4, −0.8 and 2 standard deviations."""
    raw = 10.0 + 2.5 * np.array([0.4, -0.8, 2.0])
    equal(losses(SquaredError(), raw, 10.0), np.array([0.16, 0.64, 4.0]))
    equal(losses(AbsoluteError(), raw, 10.0), np.array([0.4, 0.8, 2.0]))
    expected = np.array([0.08, 0.32, 1.0 * (2.0 - 0.5)])
    equal(losses(Huber(delta=1.0), raw, 10.0), expected)


def rows(label: Tensor) -> Batch:
    return replace(make_batch(len(label)), labels={"y": label}, weight=torch.ones(len(label)))


def task_of(options: LossConfig) -> Task:
    return Task(label="y", type=options.type)


@each_kind
def test_the_gradient_is_that_of_the_loss(options: LossConfig) -> None:
    label = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0])
    raw = torch.tensor([0.3, -1.2, 4.0, 2.2, -6.0], dtype=torch.float64, requires_grad=True)

    def loss(raw: Tensor) -> Tensor:
        torch.manual_seed(5)  # the same negatives each time
        return task_loss(task_of(options), raw, rows(label), KNOWN, options)

    assert torch.autograd.gradcheck(loss, (raw,))


@each_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_logit_has_a_finite_loss_and_gradient_in_fp32(
    options: LossConfig, dtype: torch.dtype
) -> None:
    values = torch.tensor([-200.0, -90.0, 0.0, 90.0, 200.0]).repeat(2)
    raw = values.to(dtype).requires_grad_()
    label = torch.tensor([0.0] * 5 + [1.0] * 5)
    torch.manual_seed(0)
    found = task_loss(task_of(options), raw, rows(label), KNOWN, options)
    torch.manual_seed(0)
    exact = task_loss(task_of(options), raw.detach().double(), rows(label), KNOWN, options)
    found.backward()
    assert found.dtype == torch.float32
    if not isinstance(options, CrossEntropy) or options.negatives == 1:  # others draw other numbers
        assert found.item() == pytest.approx(exact.item(), rel=1e-6)
    assert raw.grad is not None and torch.isfinite(raw.grad).all()


def fitted(options: CrossEntropy, positives: int, all_rows: int) -> float:
    """σ of the one logit that minimises the loss of so many positives among so many rows."""
    label = torch.zeros(all_rows, dtype=torch.float64)
    label[:positives] = 1.0
    known = replace(KNOWN, mean=positives / all_rows)
    logit = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logit], max_iter=100, tolerance_grad=1e-12)

    def closure() -> Tensor:
        torch.manual_seed(3)
        optimizer.zero_grad()
        loss = task_loss(Task(label="y"), logit.expand(all_rows), rows(label), known, options)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return logit.sigmoid().item()


def drawn(positives: int, all_rows: int, share: float) -> int:
    """Negatives that are read with the seed that `fitted` sets."""
    torch.manual_seed(3)
    return int((torch.rand(all_rows, dtype=torch.float64) < share)[positives:].sum())


def test_with_few_negatives_read_the_score_is_that_among_all() -> None:
    """He et al.'s correction, p = q / (q + (1 − q) / r), of the rate q among the rows read."""
    read = drawn(40, 4000, 0.25)
    assert 0.2 < read / 3960 < 0.3
    q = 40 / (40 + read)
    found = fitted(CrossEntropy(negatives=0.25), 40, 4000)
    assert found == pytest.approx(q / (q + (1 - q) / 0.25), abs=1e-6)
    assert found == pytest.approx(0.01, rel=0.15)


def test_negatives_are_drawn_anew_and_positives_always_read() -> None:
    options, label = CrossEntropy(negatives=0.25), torch.tensor([1.0, 0.0]).repeat(500)
    torch.manual_seed(1)
    first, second = (LOSSES["cross_entropy"](torch.zeros(1000), label, KNOWN, options) for _ in range(2))
    assert (first[::2] == first[0]).all() and first[0] == pytest.approx(math.log1p(0.25))
    assert 0 < (first[1::2] > 0).sum() < 500 and not torch.equal(first, second)


Constant = tuple[CrossEntropy, Callable[[float], float]]
CONSTANTS: list[Constant] = [
    (CrossEntropy(), lambda p: p),
    (CrossEntropy(smoothing=0.1), lambda p: 0.9 * p + 0.05),
    (CrossEntropy(positive_weight=7.0), lambda p: 7 * p / (7 * p + 1 - p)),
    (CrossEntropy(logit_adjustment=1.0), lambda p: 0.5),
    (CrossEntropy(logit_adjustment=0.5), lambda p: math.sqrt(p) / (math.sqrt(p) + math.sqrt(1 - p))),
]


@pytest.mark.parametrize(("options", "expected"), CONSTANTS, ids=[repr(c[0]) for c in CONSTANTS])
def test_what_the_score_becomes(options: CrossEntropy, expected: Callable[[float], float]) -> None:
    """As the documentation says, for rows that nothing tells apart, of which p = 4 % are positive."""
    assert fitted(options, 40, 1000) == pytest.approx(expected(0.04), abs=1e-6)


def test_what_is_minimised_has_each_task_s_kind_and_weight() -> None:
    """At logits of 0: focal loss ¼·log 2 of weight 2, and cross-entropy log 2 of weight 0.5."""
    tasks = {"a": Task(label="y"), "b": Task(label="y")}
    objective = Objective(tasks, {"a": Focal(weight=2.0), "b": 0.5}, {"a": KNOWN, "b": KNOWN})
    output = Output(dict.fromkeys(tasks, torch.zeros(4)), {}, {}, {})
    found = objective.losses(output, rows(torch.ones(4)))
    assert found["a"].item() == pytest.approx(math.log(2) / 4)
    assert objective.total(found).item() == pytest.approx((2.0 / 4 + 0.5) * math.log(2))
