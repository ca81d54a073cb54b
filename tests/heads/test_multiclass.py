"""Several classes: the loss against its formula in numpy, metrics against scikit-learn, and the start."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn import metrics as reference
from torch import Tensor
from torch.nn import functional as F

from recmtl.errors import RecmtlError
from recmtl.heads import head_of
from recmtl.heads.multiclass import class_metrics
from recmtl.learn.losses import LOSSES
from recmtl.learn.tasks import TaskStatistics, statistics
from recmtl.schema import Task
from recmtl.schema.losses import Softmax

PRIOR = np.array([0.5, 0.3, 0.15, 0.05])
KNOWN = TaskStatistics(rows=100, share=1.0, mean=tuple(PRIOR.tolist()), std=(1.0,) * 4)
TASK = Task(label="y", type="multiclass", classes=4)
EACH = [
    Softmax(), Softmax(smoothing=0.1), Softmax(class_weights=(1.0, 2.0, 0.5, 4.0)),
    Softmax(class_weights="balanced"), Softmax(logit_adjustment=0.7),
    Softmax(smoothing=0.2, class_weights=(3.0, 1.0, 1.0, 0.1), logit_adjustment=1.0),
]
each = pytest.mark.parametrize("options", EACH, ids=repr)


def made(rows: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(0, 3, (rows, 4)), random.choice(4, rows, p=PRIOR)


def loss(raw: Tensor, label: np.ndarray, options: Softmax) -> Tensor:
    return LOSSES["softmax"](raw, torch.from_numpy(label).to(raw.dtype), KNOWN, options)


@each
def test_the_loss_is_its_formula(options: Softmax) -> None:
    raw, label = made()
    logs = log_softmax(raw + options.logit_adjustment * np.log(PRIOR), axis=1)
    target = (1 - options.smoothing) * np.eye(4)[label] + options.smoothing / 4
    weights = options.class_weights
    weight = {"balanced": 1 / (4 * PRIOR), None: np.ones(4)}.get(weights, weights)
    expected = -np.asarray(weight)[label] * (target * logs).sum(axis=1)
    np.testing.assert_allclose(loss(torch.from_numpy(raw), label, options), expected, rtol=1e-9)


def test_without_options_it_is_torch_s_cross_entropy() -> None:
    raw, label = made()
    expected = F.cross_entropy(
        torch.from_numpy(raw), torch.from_numpy(label), reduction="none", label_smoothing=0.1
    )
    torch.testing.assert_close(loss(torch.from_numpy(raw), label, Softmax(smoothing=0.1)), expected)


@each
def test_its_gradient_is_that_of_the_loss(options: Softmax) -> None:
    raw, label = made(6)
    logits = torch.from_numpy(raw).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, label, options), (logits,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@each
def test_large_logits_have_a_finite_loss_and_gradient(options: Softmax, dtype: torch.dtype) -> None:
    raw = (200.0 * torch.eye(4, dtype=dtype).repeat(2, 1)).requires_grad_()
    found = loss(raw, np.array([0, 1, 2, 3, 1, 2, 3, 0]), options)
    found.sum().backward()
    assert torch.isfinite(found).all() and raw.grad is not None and torch.isfinite(raw.grad).all()


@pytest.mark.parametrize(
    ("options", "expected"),
    [(Softmax(), PRIOR), (Softmax(smoothing=0.2), 0.8 * PRIOR + 0.05),
     (Softmax(class_weights="balanced"), np.full(4, 0.25)),
     (Softmax(logit_adjustment=1.0), np.full(4, 0.25)),
     (Softmax(class_weights=(2.0, 1.0, 1.0, 1.0)), np.array([1.0, 0.3, 0.15, 0.05]) / 1.5)],
    ids=repr,
)
def test_what_the_score_becomes(options: Softmax, expected: np.ndarray) -> None:
    """As the documentation says, for rows that nothing tells apart, of the classes that PRIOR says."""
    label = np.repeat(np.arange(4), [50, 30, 15, 5])
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-16)

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = loss(logits.expand(100, 4), label, options).mean()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(logits.softmax(0).detach(), expected, atol=1e-6)


def test_a_fresh_tower_starts_at_the_priors_of_train() -> None:
    labels = {"y": np.array([0, 0, 1, 3, np.nan, 0], dtype=np.float32)}
    known = statistics({"t": TASK}, labels, np.ones(6))["t"]
    assert known.mean == pytest.approx((0.6, 0.2, 0.0, 0.2)) and known.rows == 5
    start = head_of(TASK).start(known.mean, known.std)
    assert start.outputs == 4
    np.testing.assert_allclose(softmax(start.shift), [0.6, 0.2, 0.0, 0.2], atol=1e-5)


def test_rows_of_one_class_are_nothing_to_learn_from() -> None:
    with pytest.raises(RecmtlError, match="only class 2"):
        statistics({"t": TASK}, {"y": np.full(3, 2.0)}, np.ones(3))


def test_metrics_are_scikit_learn_s() -> None:
    raw, label = made(300)
    score = softmax(raw, axis=1)
    found = class_metrics(label.astype(np.float32), score)
    assert found["logloss"] == pytest.approx(reference.log_loss(label, score), abs=1e-9)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(label, score.argmax(axis=1)))
    assert found["top3"] == pytest.approx(reference.top_k_accuracy_score(label, score, k=3))
    expected = reference.roc_auc_score(label, score, multi_class="ovr", average="macro")
    assert found["auc"] == pytest.approx(expected, abs=1e-9)


def test_a_class_that_no_row_has_is_left_out_of_the_mean() -> None:
    label = np.array([0, 1, 0, 1])
    score = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1], [0.6, 0.2, 0.2]])
    found = class_metrics(label, score)
    assert found["auc"] == pytest.approx((2.5 / 4 + 2 / 4) / 2)
    assert found["logloss"] == pytest.approx(-np.log([0.6, 0.7, 0.5, 0.2]).mean())


def test_equal_scores_stand_in_the_order_of_classes() -> None:
    found = class_metrics(np.array([0, 1, 3]), np.full((3, 4), 0.25))
    assert found["accuracy"] == pytest.approx(1 / 3) and found["top3"] == pytest.approx(2 / 3)
