"""A task of each type, batches with labels for them, and a small model of one of them."""

from dataclasses import replace

import torch
from torch import Tensor

from recmtl.batch import Batch
from recmtl.learn.step import Objective
from recmtl.learn.tasks import statistics
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.multitask import MultiTask, build_model
from recmtl.schema import Task
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


def objective_of(task: Task, batch: Batch, loss: object = 1.0) -> Objective:
    model = ModelConfig.model_validate({"sharing": {"kind": "mmoe"}, "loss": {"own": loss}})
    labels = {name: label.numpy() for name, label in batch.labels.items()}
    known = statistics({"own": task}, labels, batch.weight.numpy())
    return Objective({"own": task}, model.loss, known)


def model_of(task: Task, objective: Objective | None = None) -> MultiTask:
    """A fresh model of the one task `own`, which starts where the objective's statistics are."""
    seed_everything(3)
    config = ModelConfig.model_validate({
        "sharing": {"kind": "mmoe", "hidden": [8, 6]}, "towers": {"hidden": [5]}, "loss": {"own": 1.0},
    })
    known = objective.statistics["own"] if objective else None
    return build_model(
        config, EmbeddingConfig(width=4, init=0.5), LAYOUT, {"own": task},
        {"own": (known.mean, known.std)} if known else None,
    )
