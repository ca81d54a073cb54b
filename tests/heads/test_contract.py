"""What every head must do, from labels to a metric with an interval: walked over them all."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from recmtl.heads import HEADS, OF_LOSSES, head_of
from recmtl.heads.columns import column_of, scores_of
from recmtl.learn.checkpoint import load_weights, save_weights
from recmtl.learn.group import ALONE
from recmtl.learn.losses import task_loss
from recmtl.learn.metrics import task_metrics
from recmtl.learn.optim import build_optimizers
from recmtl.learn.settings import TrainConfig
from recmtl.learn.step import make_step, parameters
from recmtl.learn.tasks import label_space
from recmtl.model.multitask import MultiTask
from recmtl.schema import Task
from recmtl.schema.metrics import METRICS
from recmtl.seed import seed_everything
from recmtl.suite.made_up import permute
from tests.heads.made_up import TASKS, batch_of, loss_for, model_of, objective_of

ROWS = 300
each_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


def scores(model: MultiTask, rows: int = ROWS) -> np.ndarray:
    batch = replace(batch_of(rows), labels={})
    with torch.no_grad():
        found: np.ndarray = model.eval().scores(model(batch), batch)["own"].numpy()
    return found


def labels(rows: int = ROWS) -> dict[str, np.ndarray]:
    return {name: label.numpy() for name, label in batch_of(rows).labels.items()}


def test_every_head_is_tried_here() -> None:
    assert {task.type for task in TASKS.values()} == HEADS.keys()
    assert {getattr(loss_for(task), "kind", None) for task in TASKS.values()} - {None} == OF_LOSSES.keys()


@each_task
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_learns_from_rows_some_of_which_have_no_label(task: Task, precision: str) -> None:
    batch = batch_of(ROWS)
    aim = objective_of(task, batch)
    model = model_of(task, aim).train()
    config = TrainConfig.model_validate(
        {"monitor": "auc_valid/own", "precision": precision, "learning_rate": 0.02}
    )
    step = make_step(model, aim, build_optimizers(*parameters(model), config), config, ALONE)
    losses = [float(step(batch)["own"]) for _ in range(40)]
    assert math.isfinite(losses[-1]) and losses[-1] < 0.9 * losses[0]
    assert all(p.grad is not None for p in model.parameters())


@each_task
def test_scores_have_the_columns_that_the_head_says(task: Task) -> None:
    columns = head_of(task).columns
    found = scores(model_of(task))
    assert found.shape == ((ROWS,) if columns is None else (ROWS, columns))
    assert found.dtype == np.float32 and np.isfinite(found).all()
    if head_of(task).calibrated:
        assert ((found > 0) & (found < 1)).all()
    np.testing.assert_array_equal(scores_of(pa.table({"own": column_of(found)})["own"]), found)


@each_task
def test_rows_outside_of_its_label_space_move_nothing(task: Task) -> None:
    """Of a log without them loss and gradient are the same, but for the rows that they are a share of."""
    batch, space = batch_of(ROWS), torch.from_numpy(label_space(task, labels()))
    aim, model = objective_of(task, batch), model_of(task).train()
    other = replace(batch, weight=torch.where(space, batch.weight, 9.0))
    found = []
    for one in (batch, other):
        model.zero_grad()
        seed_everything(5)  # of a loss that draws
        loss = task_loss(task, model(one).raw["own"], one, aim.statistics["own"], aim.options["own"])
        loss.backward()
        gradients = [p.grad.to_dense() for p in model.parameters() if p.grad is not None]
        found.append([loss.detach(), *gradients])
    for first, second in zip(*found, strict=True):
        assert torch.isfinite(first).all()
        torch.testing.assert_close(first, second)


@each_task
def test_it_is_measured_by_its_metrics_and_drawn_as_measured(task: Task) -> None:
    head, score = head_of(task), scores(model_of(task))
    measured = task_metrics({"own": task}, labels(), {"own": score}, "valid")
    own = {name: measured[f"{name}_valid/own"] for name in head.metrics}
    assert set(own) <= METRICS.keys() and np.isfinite(list(own.values())).all()
    assert set(measured) - {f"{name}_valid/own" for name in own} <= {
        f"{name}_valid/own" for name in ("rows", "positives", "base_rate")
    }
    space = label_space(task, labels())
    label = head.label(labels())[space]
    draw = head.drawn(label, score[space], np.arange(len(label)))
    assert draw(np.ones(len(label), dtype=np.int64)) == pytest.approx(own[head.headline], abs=1e-9)
    twice = np.arange(len(label)) % 2 * 2
    again = head.measure(np.repeat(label, twice, axis=0), np.repeat(score[space], twice, axis=0))
    assert draw(twice) == pytest.approx(again[head.headline], abs=1e-9)


@each_task
def test_no_rows_have_no_metrics(task: Task) -> None:
    head, score = head_of(task), scores(model_of(task))
    assert not set(head.measure(head.label(labels())[:0], score[:0])) & set(head.metrics)


@each_task
def test_saved_and_loaded_it_scores_the_same(tmp_path, task: Task) -> None:
    model = model_of(task, objective_of(task, batch_of(ROWS)))
    save_weights(model, tmp_path / "weights.safetensors")
    other = model_of(task)
    load_weights(other, tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(scores(other), scores(model))


@each_task
def test_a_permuted_batch_has_permuted_scores(task: Task) -> None:
    model = model_of(task, objective_of(task, batch_of(ROWS))).eval()
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    batch = batch_of(16)
    with torch.no_grad():
        straight, shuffled = (model.scores(model(b), b)["own"] for b in (batch, permute(batch, order)))
    torch.testing.assert_close(shuffled, straight[order])
