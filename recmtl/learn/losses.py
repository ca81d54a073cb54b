"""Losses by task type: functions of one signature, from raw output and label to a loss per row."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from recmtl.batch import Batch
from recmtl.learn.tasks import TaskStatistics, label_space
from recmtl.schema import Task

Loss = Callable[[Tensor, Tensor, TaskStatistics], Tensor]


def cross_entropy(raw: Tensor, label: Tensor, statistics: TaskStatistics) -> Tensor:
    """−y·log σ(z) − (1 − y)·log(1 − σ(z)), from the logit. Shapes (B,), (B,) → (B,)."""
    return F.binary_cross_entropy_with_logits(raw, label, reduction="none")


def squared_error(raw: Tensor, label: Tensor, statistics: TaskStatistics) -> Tensor:
    """((ŷ − y) / std)², so that a task's weight does not depend on its label's unit."""
    return ((raw - label) / statistics.std).square()


LOSSES: Mapping[str, Loss] = {"binary": cross_entropy, "regression": squared_error}


def task_loss(
    task: Task, raw: Tensor, batch: Batch, statistics: TaskStatistics, weights: Tensor | None = None
) -> Tensor:
    """Σ masked, weighted loss / (batch size · labelled share on train): a scalar.

    Dividing by the expected rather than the batch's own count keeps a conditioned task's weight
    from swinging with the batch. Where a relation says how much each row counts for (`weights`, (B,)),
    as by the inverse of its propensity, that takes the place of 1 / share.
    """
    space = label_space(task, batch.labels)
    # Null labels are replaced before the loss: NaN · 0 would still be NaN, in the gradient too.
    label = torch.where(space, batch.labels[task.label], 0.0)
    loss = LOSSES[task.type](raw, label, statistics) * batch.weight
    rows = batch.size * statistics.share
    if weights is not None:
        loss, rows = loss * weights, batch.size
    return torch.where(space, loss, 0.0).sum() / rows

