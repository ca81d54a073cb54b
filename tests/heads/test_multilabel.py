"""Several labels: both losses against their formulas, what a null means, metrics label by label."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from recmtl.batch import Batch
from recmtl.errors import RecmtlError
from recmtl.heads import head_of
from recmtl.heads.multilabel import label_metrics
from recmtl.learn.losses import task_loss
from recmtl.learn.tasks import label_space, statistics
from recmtl.schema import Task
from recmtl.schema.losses import ZLPR, CrossEntropy, Focal, LossConfig
from recmtl.suite.made_up import make_batch

NULL = math.nan
NAMES = ("a", "b", "c")
TASK = Task(label=NAMES, type="multilabel")
POSITIVE_ONLY = Task(label=NAMES, type="multilabel", missing="negative")
LABEL = np.array([[1, 0, NULL], [0, 1, 1], [NULL, NULL, NULL], [1, NULL, 0], [0, 0, 0.0]])
WEIGHT = np.array([1.0, 2.0, 3.0, 4.0, 5.0])


def batch() -> Batch:
    columns = {name: torch.from_numpy(LABEL[:, j]) for j, name in enumerate(NAMES)}
    return replace(make_batch(5), labels=columns, weight=torch.from_numpy(WEIGHT))


def known_of(task: Task):
    return statistics({"t": task}, {n: LABEL[:, j] for j, n in enumerate(NAMES)}, WEIGHT)["t"]


def raw_of() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(0, 2, (5, 3))).requires_grad_()


def row_by_hand(options: LossConfig, raw: np.ndarray, label: np.ndarray) -> float:
    pairs = [(z, y) for z, y in zip(raw, label, strict=True) if not math.isnan(y)]
    if isinstance(options, ZLPR):
        return math.log(1 + sum(math.exp(-z) for z, y in pairs if y == 1)) + math.log(
            1 + sum(math.exp(z) for z, y in pairs if y == 0)
        )
    losses = []
    for z, y in pairs:
        p = expit(z) if y == 1 else expit(-z)
        losses.append(-((1 - p) ** 2) * math.log(p) if isinstance(options, Focal) else -math.log(p))
    return float(np.mean(losses))


@pytest.mark.parametrize("options", [CrossEntropy(), Focal(), ZLPR()], ids=lambda o: o.kind)
@pytest.mark.parametrize("task", [TASK, POSITIVE_ONLY], ids=["unknown", "negative"])
def test_the_loss_is_its_formula(task: Task, options: LossConfig) -> None:
    raw, known = raw_of(), known_of(task)
    label = LABEL if task is TASK else np.nan_to_num(LABEL)
    rows = [i for i in range(5) if not np.isnan(label[i]).all()]
    by_hand = sum(WEIGHT[i] * row_by_hand(options, raw.detach().numpy()[i], label[i]) for i in rows)
    found = task_loss(task, raw, batch(), known, options)
    assert found.item() == pytest.approx(by_hand / (5 * known.share), abs=1e-9)
    assert torch.autograd.gradcheck(lambda z: task_loss(task, z, batch(), known, options), (raw,))
    found.backward()
    assert raw.grad is not None
    assert np.array_equal(raw.grad.numpy() == 0, np.isnan(label))


def test_a_label_s_prior_is_its_own() -> None:
    """Menon et al.'s adjustment, label by label: z + log(π_j / (1 − π_j))."""
    raw, known = raw_of(), known_of(TASK)
    assert known.mean == pytest.approx((0.5, 1 / 3, 1 / 3))
    found = task_loss(TASK, raw, batch(), known, CrossEntropy(logit_adjustment=1.0))
    shifted = raw.detach() + torch.tensor([0.0, math.log(0.5), math.log(0.5)], dtype=torch.float64)
    assert found.item() == pytest.approx(task_loss(TASK, shifted, batch(), known).item(), abs=1e-12)


@pytest.mark.parametrize("options", [CrossEntropy(), ZLPR()], ids=lambda o: o.kind)
def test_large_logits_have_a_finite_loss_and_gradient(options: LossConfig) -> None:
    raw = torch.full((5, 3), 200.0).mul(torch.tensor([1.0, -1.0, 1.0])).requires_grad_()
    found = task_loss(TASK, raw, batch(), known_of(TASK), options)
    found.backward()
    assert torch.isfinite(found) and raw.grad is not None and torch.isfinite(raw.grad).all()


def test_what_a_null_means() -> None:
    columns = {n: LABEL[:, j] for j, n in enumerate(NAMES)}
    assert label_space(TASK, columns).tolist() == [True, True, False, True, True]
    assert label_space(POSITIVE_ONLY, columns).all()
    assert known_of(POSITIVE_ONLY).mean == pytest.approx((0.4, 0.2, 0.2))
    assert known_of(POSITIVE_ONLY).rows == 5


def test_a_fresh_tower_starts_at_each_label_s_rate() -> None:
    known = known_of(TASK)
    np.testing.assert_allclose(expit(head_of(TASK).start(known.mean).shift), known.mean)


def test_a_label_without_both_classes_on_train_is_named() -> None:
    labels = {"a": np.array([0, 1.0]), "b": np.array([1, 1.0]), "c": np.array([0, 1.0])}
    with pytest.raises(RecmtlError, match="only 1 as 'b'"):
        statistics({"t": TASK}, labels, np.ones(2))


def test_metrics_are_scikit_learn_s_label_by_label() -> None:
    random = np.random.default_rng(0)
    score = random.random((300, 3)).astype(np.float32)
    label = (random.random((300, 3)) < 0.3 + 0.4 * score).astype(np.float64)
    label[random.random((300, 3)) < [0.1, 0.5, 0.9]] = NULL
    known = [~np.isnan(column) for column in label.T]
    areas = [roc_auc_score(label[k, j], score[k, j]) for j, k in enumerate(known)]
    losses = [log_loss(label[k, j], score[k, j].astype(np.float64)) for j, k in enumerate(known)]
    found, rows = label_metrics(label, score), [k.sum() for k in known]
    assert found["auc"] == pytest.approx(np.mean(areas), abs=1e-9)
    assert found["logloss"] == pytest.approx(np.mean(losses), abs=1e-6)
    assert found["auc_weighted"] == pytest.approx(np.average(areas, weights=rows), abs=1e-9)
    assert found["logloss_weighted"] == pytest.approx(np.average(losses, weights=rows), abs=1e-6)


def test_a_label_of_one_class_is_in_no_mean() -> None:
    label = np.array([[1, 0.0, NULL], [0, 0.0, NULL], [1, NULL, 1]])
    score = np.array([[0.9, 0.5, 0.5], [0.2, 0.5, 0.5], [0.1, 0.5, 0.5]])
    found = label_metrics(label, score)
    assert (found["auc"], found["auc_weighted"], found["rows"]) == (0.5, 0.5, 3)
    assert found["logloss"] == pytest.approx(-np.log([0.9, 0.8, 0.1]).mean())
    assert label_metrics(label[:, 1:], score[:, 1:]) == {"rows": 3.0}
