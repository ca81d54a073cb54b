"""The likeliest of many classes: scores against numpy's softmax over all, metrics against hand counts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from recmtl.batch import Factored
from recmtl.heads import head_of, retrieval
from recmtl.learn.tasks import statistics
from recmtl.model.class_tower import ClassTower
from recmtl.model.multitask import parameter_count
from recmtl.schema import Task
from recmtl.seed import numpy_generator, seed_everything
from tests.heads.made_up import TASKS, model_of

TASK = Task(label="y", type="retrieval", classes=40, top=6)


def factored(rows: int = 9, classes: int = 40) -> tuple[Factored, np.ndarray]:
    """A raw output, and the logits that it is."""
    random = numpy_generator(1, "factors")
    hidden, table = random.normal(0, 2, (rows, 5)), random.normal(0, 1, (classes, 5))
    factor = torch.from_numpy(table)
    return Factored(torch.from_numpy(hidden), factor, lambda some: factor[some]), hidden @ table.T


@pytest.mark.parametrize(("rows", "columns"), [(256, 999), (4, 7), (2, 3), (1, 1)])
def test_scores_are_the_likeliest_of_all_classes(
    monkeypatch: pytest.MonkeyPatch, rows: int, columns: int
) -> None:
    """However many are computed at a time, also fewer than are scored."""
    monkeypatch.setattr(retrieval, "ROWS", rows)
    monkeypatch.setattr(retrieval, "COLUMNS", columns)
    raw, logits = factored()
    found = head_of(TASK).score(raw).numpy()
    order = np.argsort(-logits, axis=1)[:, :6]
    np.testing.assert_array_equal(found[:, :6], order)
    expected = np.take_along_axis(softmax(logits, axis=1), order, axis=1)
    np.testing.assert_allclose(found[:, 6:], expected, rtol=1e-9)


def test_logits_that_would_overflow_have_finite_scores() -> None:
    raw, _ = factored()
    found = head_of(TASK).score(Factored(1e4 * raw.hidden.float(), raw.table.float(), raw.rows))
    assert torch.isfinite(found).all() and (found[:, 6:].sum(1) <= 1 + 1e-5).all()


def test_metrics_are_of_the_scored_classes_and_what_they_leave() -> None:
    """Ten classes, three of them scored: rows of the first, the third, and of two that are not."""
    head = head_of(Task(label="y", type="retrieval", classes=10, top=3))
    score = np.array([[7, 2, 4, 0.5, 0.2, 0.1]] * 4, dtype=np.float32)
    label = np.array([7, 4, 0, 9], dtype=np.float32)
    found = head.measure(label, score)
    logloss = -np.log([0.5, 0.1, 0.2 / 7, 0.2 / 7]).mean()
    assert found == pytest.approx(
        {"rows": 4, "logloss": logloss, "accuracy": 0.25, "hit_rate": 0.5}, rel=1e-6
    )
    assert head.metrics == ("logloss", "accuracy", "hit_rate")
    assert head_of(TASK).metrics == ("logloss", "accuracy", "top3", "top5", "hit_rate")


def test_with_all_but_one_class_scored_its_log_loss_is_that_of_the_softmax() -> None:
    raw, logits = factored()
    raw, logits = replace(raw, table=raw.table / 5), logits / 5
    head, label = head_of(TASK.model_copy(update={"top": 39})), np.arange(9) * 4
    expected = -log_softmax(logits, axis=1)[np.arange(9), label].mean()
    assert head.measure(label, head.score(raw).numpy())["logloss"] == pytest.approx(expected, rel=1e-6)


def test_a_score_is_proved_by_its_probabilities() -> None:
    """Two classes of one probability may stand in either order, as another processor has it."""
    one, other = np.array([[3, 5, 0.2, 0.2]]), np.array([[5, 3, 0.2, 0.2]])
    head = head_of(Task(label="y", type="retrieval", classes=9, top=2))
    np.testing.assert_array_equal(head.steady(one), head.steady(other))


@pytest.mark.parametrize("type_", ["retrieval", "multiclass", "ordinal"])
def test_statistics_of_classes_are_those_of_one_hot_rows(type_: str) -> None:
    task = Task.model_validate(
        {"label": "y", "type": type_, "classes": 5, **({"top": 2} if type_ == "retrieval" else {})}
    )
    label = np.array([0, 3, 3, np.nan, 4, 0, 0], dtype=np.float32)
    known = statistics({"t": task}, {"y": label}, np.ones(7))["t"]
    one_hot = np.eye(5)[label[~np.isnan(label)].astype(int)]
    assert known.rows == 6 and known.mean == pytest.approx(tuple(one_hot.mean(axis=0)))
    spread = one_hot.std(axis=0)
    assert known.std == pytest.approx(tuple(np.where(spread == 0, 1.0, spread)))


def test_a_million_classes_are_counted_without_a_column_each() -> None:
    task = Task(label="y", type="retrieval", classes=1_000_000, top=1)
    label = np.repeat(np.array([5, 999_999, 5], dtype=np.float32), 1000)
    known = statistics({"t": task}, {"y": label}, np.ones(3000))["t"]
    assert isinstance(known.mean, tuple) and len(known.mean) == 1_000_000
    assert known.mean[5] == pytest.approx(2 / 3) and known.mean[999_999] == pytest.approx(1 / 3)


def test_a_fresh_tower_scores_the_priors_of_train() -> None:
    shares = (0.5, 0.3, 0.15, 0.05)
    task = Task(label="y", type="retrieval", classes=4, top=3)
    start = head_of(task).start(shares, (1.0,) * 4)
    seed_everything(1)
    tower = ClassTower(3, (5,), 0.0, start)
    found = head_of(task).score(tower(torch.zeros(2, 3))).detach().numpy()
    np.testing.assert_allclose(found, [[0, 1, 2, 0.5, 0.3, 0.15]] * 2, atol=1e-6)


def test_a_table_of_classes_is_counted_among_tables() -> None:
    model = model_of(TASKS["retrieval"])
    table = model.get_parameter("towers.own.table")
    assert table.shape == (4, 5 + 1)
    count = parameter_count(model)
    assert count["tables"] == 32 * 4 + 16 * 8 + table.numel()
    assert sum(count.values()) == sum(p.numel() for p in model.parameters())
