"""Losses by kind: functions of one signature, from raw output and label to a loss per row.

All are computed in fp32 (fp64 stays), from the logit, finite with their gradients wherever it is.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recmtl.batch import Batch
from recmtl.learn.tasks import TaskStatistics, label_space
from recmtl.schema import Task
from recmtl.schema.losses import CrossEntropy, Focal, Huber, LossConfig, OwnLoss, loss_of

LossFunction = Callable[[Tensor, Tensor, TaskStatistics, Any], Tensor]  # Any: the kind's own options


def cross_entropy(
    raw: Tensor, label: Tensor, statistics: TaskStatistics, options: CrossEntropy
) -> Tensor:
    """−w·ỹ·log σ(z̃) − (1 − ỹ)·log(1 − σ(z̃)), from the logit z. Shapes (B,), (B,) → (B,).

    ỹ = y(1 − ε) + ε/2 with ε = `smoothing` (Szegedy et al., CVPR 2016), w = `positive_weight`, and one of

    - z̃ = z + τ·log(π / (1 − π)) with τ = `logit_adjustment`, π the label's mean on train: z is then
      the logit where both classes are equally frequent (Menon et al., ICLR 2021);
    - z̃ = z − log r with r = `negatives`, rows with y = 0 read with probability r, drawn anew each time:
      z̃ is the logit among the rows that were read, and z that of all, since p = q / (q + (1 − q) / r)
      for p = σ(z), q = σ(z̃) (He et al., ADKDD 2014).
    """
    shift = _shift(statistics, options)
    logit = raw + shift if shift else raw
    target = label * (1 - options.smoothing) + options.smoothing / 2 if options.smoothing else label
    weight = raw.new_full((), options.positive_weight) if options.positive_weight != 1 else None
    loss = F.binary_cross_entropy_with_logits(logit, target, reduction="none", pos_weight=weight)
    if options.negatives == 1:
        return loss
    read = (label == 1) | (torch.rand_like(loss) < options.negatives)
    return torch.where(read, loss, 0.0)


def _shift(statistics: TaskStatistics, options: CrossEntropy) -> float:
    """z̃ − z."""
    if options.logit_adjustment:
        return options.logit_adjustment * math.log(statistics.mean / (1 - statistics.mean))
    return -math.log(options.negatives)


def focal(raw: Tensor, label: Tensor, statistics: TaskStatistics, options: Focal) -> Tensor:
    """−α_y·(1 − p_y)^γ·log p_y, p_y the probability of the row's own label. Shapes (B,), (B,) → (B,).

    With `alpha` α_1 = α and α_0 = 1 − α, without it both are 1 (Lin et al., ICCV 2017).
    """
    own = torch.where(label == 1, raw, -raw)  # the logit of p_y
    # A power of 1 − p_y itself has no finite gradient where that is 0 and γ < 1.
    loss = -torch.exp(options.gamma * F.logsigmoid(-own)) * F.logsigmoid(own)
    if options.alpha is None:
        return loss
    return loss * (label * options.alpha + (1 - label) * (1 - options.alpha))


def squared_error(raw: Tensor, label: Tensor, statistics: TaskStatistics, options: LossConfig) -> Tensor:
    """((ŷ − y) / std)², so that a task's weight does not depend on its label's unit."""
    return ((raw - label) / statistics.std).square()


def absolute_error(raw: Tensor, label: Tensor, statistics: TaskStatistics, options: LossConfig) -> Tensor:
    """|ŷ − y| / std."""
    return ((raw - label) / statistics.std).abs()


def huber(raw: Tensor, label: Tensor, statistics: TaskStatistics, options: Huber) -> Tensor:
    """e²/2 where |e| ≤ δ, δ·(|e| − δ/2) beyond, for e = (ŷ − y) / std (Huber 1964)."""
    error = (raw - label) / statistics.std
    return F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=options.delta)


LOSSES: Mapping[str, LossFunction] = {
    "cross_entropy": cross_entropy, "focal": focal,
    "squared": squared_error, "absolute": absolute_error, "huber": huber,
}


def row_losses(raw: Tensor, label: Tensor, statistics: TaskStatistics, options: LossConfig) -> Tensor:
    """The loss of each row, (B,), (B,) → (B,): a kind's function, or a plug-in's own."""
    if isinstance(options, OwnLoss):
        return options.rows(raw, label, statistics.mean, statistics.std)
    return LOSSES[options.kind](raw, label, statistics, options)


def task_loss(
    task: Task, raw: Tensor, batch: Batch, statistics: TaskStatistics,
    options: LossConfig | None = None, weights: Tensor | None = None,
) -> Tensor:
    """Σ masked, weighted loss / (batch size · labelled share on train): a scalar.

    Dividing by the expected rather than the batch's own count keeps a conditioned task's weight
    from swinging with the batch. Where a relation says how much each row counts for (`weights`, (B,)),
    as by the inverse of its propensity, that takes the place of 1 / share. Without `options` the loss is
    that of a weight alone in a file.
    """
    options = options or loss_of(task, 1.0)
    space = label_space(task, batch.labels)
    raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
    # Null labels are replaced before the loss: NaN · 0 would still be NaN, in the gradient too.
    label = torch.where(space, batch.labels[task.label], 0.0).to(raw.dtype)
    loss = row_losses(raw, label, statistics, options) * batch.weight
    rows = batch.size * statistics.share
    if weights is not None:
        loss, rows = loss * weights, batch.size
    return torch.where(space, loss, 0.0).sum() / rows
