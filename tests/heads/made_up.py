"""A task of each type, batches with labels for them, and a small model of one of them."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from recmtl.batch import Batch
from recmtl.heads import head_of
from recmtl.learn.step import Objective
from recmtl.learn.tasks import TaskStatistics, keep, statistics
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.multitask import MultiTask, build_model
from recmtl.schema import Task
from recmtl.schema.losses import D2Q, LossConfig
from recmtl.seed import seed_everything
from recmtl.suite.made_up import LAYOUT, make_batch

TASKS = {
    "binary": Task(label="click"),
    "regression": Task(label="minutes", type="regression", given="click"),
    "vector": Task(label=("minutes", "depth"), type="regression"),
    "log": Task(label="depth", type="regression", log=True),
    "log_vector": Task(label=("depth", "pages"), type="regression", log=True),
    "multilabel": Task(label=("like", "share", "save"), type="multilabel"),
    "positive_only": Task(label=("like", "share"), type="multilabel", missing="negative"),
    "ordinal": Task(label="rating", type="ordinal", classes=4),
    "watch_time": Task(label="watched", type="watch_time"),
    "watch_quantile": Task(label="watched", type="watch_time", duration="age"),
    "multiclass": Task(label="rating", type="multiclass", classes=4),
    "retrieval": Task(label="rating", type="retrieval", classes=4, top=2),
}


def batch_of(rows: int, seed: int = 0) -> Batch:
    """Labels follow the first dense column, some of them are null; as in a log each is a column."""
    batch = make_batch(rows, seed)
    g = torch.Generator().manual_seed(seed + 1)
    strength = batch.dense[:, 0] + 0.3 * torch.randn(rows, generator=g)

    def known(label: Tensor, share: float = 0.8) -> Tensor:
        return torch.where(torch.rand(rows, generator=g) < share, label, torch.nan)

    labels = {
        **batch.labels,
        "depth": known((2 * strength).exp()),
        "pages": known(torch.floor(5 * (strength + 3).clamp(min=0))),
        **{name: known((strength > i).float()) for i, name in enumerate(("save", "like", "share"))},
        "watched": known(100 * (strength - 0.5).clamp(min=0)),
        "rating": known(torch.bucketize(strength, torch.tensor([-1.0, 0.0, 1.0])).float()),
    }
    return replace(batch, labels=labels, weight=0.5 + torch.rand(rows, generator=g))


def loss_for(task: Task) -> float | LossConfig:
    """The loss by which a task of TASKS is learned here."""
    return D2Q(groups=4) if task.duration else 1.0


def known_of(
    tasks: Mapping[str, Task], losses: Mapping[str, float | LossConfig], batch: Batch
) -> dict[str, TaskStatistics]:
    """What is known of the tasks where these rows are train."""
    labels = {name: label.numpy() for name, label in batch.labels.items()}
    heads = {name: head_of(tasks[name], loss) for name, loss in losses.items()}
    known = statistics(tasks, labels, batch.weight.numpy())
    return keep(known, heads, labels, LAYOUT, batch.dense.numpy())


def objective_of(task: Task, batch: Batch, given: LossConfig | None = None) -> Objective:
    tasks, loss = {"own": task}, {"own": given or loss_for(task)}
    return Objective(tasks, loss, known_of(tasks, loss, batch))


def model_of(task: Task, objective: Objective | None = None) -> MultiTask:
    """A fresh model of the one task `own`, which starts where the objective's statistics are."""
    seed_everything(3)
    config = ModelConfig.model_validate({
        "sharing": {"kind": "mmoe", "hidden": [8, 6]}, "towers": {"hidden": [5]},
        "loss": {"own": loss_for(task)},
    })
    known = objective.statistics if objective else None
    return build_model(config, EmbeddingConfig(width=4, init=0.5), LAYOUT, {"own": task}, known)
