"""Losses by kind: functions of one signature, from raw output and target to a loss per row.

All are computed in fp32 (fp64 stays), from the logit, finite with their gradients wherever it is. Where
raw output and target have columns, (B, C), a loss may have them, too: a row's is then the mean over those
that it knows.
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from recmtl.batch import Batch, Raw
from recmtl.errors import RecmtlError
from recmtl.heads import Numbers, head_of
from recmtl.heads.multiclass import log_priors
from recmtl.learn.sampled import sampled_softmax
from recmtl.learn.tasks import TaskStatistics, label_space
from recmtl.schema import Task
from recmtl.schema.losses import (
    CrossEntropy,
    Focal,
    Huber,
    LossConfig,
    OwnLoss,
    Softmax,
    WeightedLogistic,
    loss_of,
)

UNKNOWN = -1.0  # what a row's target holds in a column that is not known
LossFunction = Callable[[Raw, Tensor, TaskStatistics, Any], Tensor]  # Any: the kind's own options


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
    logit = raw + _shift(raw, statistics, options) if options.shifts else raw
    target = label * (1 - options.smoothing) + options.smoothing / 2 if options.smoothing else label
    weight = raw.new_full((), options.positive_weight) if options.positive_weight != 1 else None
    loss = F.binary_cross_entropy_with_logits(logit, target, reduction="none", pos_weight=weight)
    if options.negatives == 1:
        return loss
    read = (label == 1) | (torch.rand_like(loss) < options.negatives)
    return torch.where(read, loss, 0.0)


def _shift(raw: Tensor, statistics: TaskStatistics, options: CrossEntropy) -> float | Tensor:
    """z̃ − z: one number, or one a column."""
    if not options.logit_adjustment:
        return -math.log(options.negatives)
    if isinstance(statistics.mean, float):
        return options.logit_adjustment * math.log(statistics.mean / (1 - statistics.mean))
    odds = tuple(options.logit_adjustment * math.log(mean / (1 - mean)) for mean in statistics.mean)
    return _constant(odds, raw)


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


def softmax(raw: Tensor, label: Tensor, statistics: TaskStatistics, options: Softmax) -> Tensor:
    """−w_y·Σ_k q_k·log softmax(z̃)_k, from logits z (B, K) and classes y (B,) → (B,).

    q_k = (1 − ε)·[k = y] + ε/K with ε = `smoothing`; z̃_k = z_k + τ·log π_k with τ = `logit_adjustment`,
    π_k the share of class k on train (Menon et al., ICLR 2021); w = `class_weights`.
    """
    assert isinstance(statistics.mean, tuple)
    if options.logit_adjustment:
        raw = raw + options.logit_adjustment * _constant(log_priors(statistics.mean), raw)
    logs, own = F.log_softmax(raw, dim=-1), label.long()
    loss = -(1 - options.smoothing) * logs.gather(1, own.unsqueeze(1)).squeeze(1)
    if options.smoothing:
        loss = loss - options.smoothing * logs.mean(1)
    weights = options.class_weights
    if weights == "balanced":
        weights = tuple(math.exp(-log) / raw.shape[1] for log in log_priors(statistics.mean))
    return loss if weights is None else loss * _row(weights, raw.dtype, raw.device)[own]


def zlpr(raw: Tensor, label: Tensor, statistics: TaskStatistics, options: LossConfig) -> Tensor:
    """log(1 + Σ_{y_j = 1} e^−z_j) + log(1 + Σ_{y_j = 0} e^z_j), from logits z (B, C) → (B,).

    A label that is not known is in neither sum.

    Reference: Su et al., ZLPR: A Novel Loss for Multi-label Classification, 2022.
    """
    sides = (torch.where(label == one, sign * raw, -torch.inf) for one, sign in ((1, -1), (0, 1)))
    above, below = (torch.logsumexp(F.pad(side, (1, 0)), dim=1) for side in sides)
    return above + below


def proportional_odds(
    raw: Tensor, label: Tensor, statistics: TaskStatistics, options: LossConfig
) -> Tensor:
    """−log P(y) of logits a_k of P(y > k), (B, K − 1), and classes y (B,) → (B,).

    For a = a_(y−1) and b = a_y, P(y) = σ(a) − σ(b) = σ(a)·σ(−b)·(1 − e^(b−a)): no difference of numbers
    near 1 is taken (McCullagh, JRSS B 1980).
    """
    above, below = F.logsigmoid(raw), F.logsigmoid(-raw)
    apart = (-raw.diff(dim=1)).clamp(min=1e-6)  # in fp32 thresholds may come to be one
    between = torch.log(-torch.expm1(-apart))
    logs = F.pad(above, (1, 0)) + F.pad(below, (0, 1)) + F.pad(between, (1, 1))
    return -logs.gather(1, label.long().unsqueeze(1)).squeeze(1)


def coral(raw: Tensor, label: Tensor, statistics: TaskStatistics, options: LossConfig) -> Tensor:
    """Σ_k cross-entropy of [y > k] and σ(a_k), from logits a (B, K − 1) and classes y (B,) → (B,).

    Reference: Cao et al., Rank Consistent Ordinal Regression for Neural Networks, 2020.
    """
    passed = label.unsqueeze(1) > torch.arange(raw.shape[1], device=raw.device)
    return F.binary_cross_entropy_with_logits(raw, passed.to(raw.dtype), reduction="none").sum(1)


def weighted_logistic(
    raw: Tensor, label: Tensor, statistics: TaskStatistics, options: WeightedLogistic
) -> Tensor:
    """(−T·log σ(z) − n·log(1 − σ(z))) / T's mean on train, of times T. Shapes (B,), (B,) → (B,).

    n is 1 in each row: the odds e^z are then the expected time. With `negatives = "unwatched"` n is 1
    where T is 0, as in Covington et al., RecSys 2016, and e^z is Σ T / the rows that were not watched:
    about the same where few are. Raises RecmtlError where no row is a negative.
    """
    assert isinstance(statistics.mean, tuple)
    mean, unwatched = statistics.mean
    if options.negatives == "every":
        return (label * F.softplus(-raw) + F.softplus(raw)) / mean
    if unwatched == 0.0:
        raise RecmtlError(
            "every row of train was watched: without a negative the odds have no bound",
            where="loss of kind weighted_logistic", fix='take negatives = "every"',
        )
    return torch.where(label == 0, F.softplus(raw), label * F.softplus(-raw)) / mean


def d2q(raw: Tensor, label: Tensor, statistics: TaskStatistics, options: LossConfig) -> Tensor:
    """12·(σ(z) − q)², of quantiles q. Shapes (B,), (B,) → (B,).

    Quantiles are spread evenly over 0 to 1, with a variance of 1/12: it is 1 where nothing is known.

    Reference: Zhan et al., Deconfounding Duration Bias in Watch-time Prediction, KDD 2022.
    """
    return 12 * (raw.sigmoid() - label).square()


def squared_error(raw: Tensor, label: Tensor, statistics: TaskStatistics, options: LossConfig) -> Tensor:
    """((ŷ − y) / std)², so that a task's weight does not depend on its label's unit."""
    return ((raw - label) / _constant(statistics.std, raw)).square()


def absolute_error(raw: Tensor, label: Tensor, statistics: TaskStatistics, options: LossConfig) -> Tensor:
    """|ŷ − y| / std."""
    return ((raw - label) / _constant(statistics.std, raw)).abs()


def huber(raw: Tensor, label: Tensor, statistics: TaskStatistics, options: Huber) -> Tensor:
    """e²/2 where |e| ≤ δ, δ·(|e| − δ/2) beyond, for e = (ŷ − y) / std (Huber 1964)."""
    error = (raw - label) / _constant(statistics.std, raw)
    return F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=options.delta)


def _constant(value: Numbers, like: Tensor) -> float | Tensor:
    """One number as it is; one a column as a tensor of the same kind as another."""
    return value if isinstance(value, float) else _row(value, like.dtype, like.device)


@lru_cache(maxsize=256)  # a step that is recorded on a GPU may not copy anything there
def _row(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device)


LOSSES: Mapping[str, LossFunction] = {
    "cross_entropy": cross_entropy, "focal": focal, "softmax": softmax,
    "sampled_softmax": sampled_softmax, "zlpr": zlpr,
    "proportional_odds": proportional_odds, "coral": coral,
    "weighted_logistic": weighted_logistic, "d2q": d2q,
    "squared": squared_error, "absolute": absolute_error, "huber": huber,
}


def row_losses(raw: Raw, label: Tensor, statistics: TaskStatistics, options: LossConfig) -> Tensor:
    """The loss of each row (B,), or of its columns (B, C): a kind's function, or a plug-in's own."""
    if isinstance(options, OwnLoss):
        return options.rows(raw, label, _constant(statistics.mean, raw), _constant(statistics.std, raw))
    return LOSSES[options.kind](raw, label, statistics, options)


def task_loss(
    task: Task, raw: Raw, batch: Batch, statistics: TaskStatistics,
    options: LossConfig | None = None, weights: Tensor | None = None,
) -> Tensor:
    """Σ masked, weighted loss / (batch size · labelled share on train): a scalar.

    Dividing by the expected rather than the batch's own count keeps a conditioned task's weight
    from swinging with the batch. Where a relation says how much each row counts for (`weights`, (B,)),
    as by the inverse of its propensity, that takes the place of 1 / share. Without `options` the loss is
    that of a weight alone in a file.
    """
    options = options or loss_of(task, 1.0)
    head = head_of(task, options, statistics.kept)
    space, label = label_space(task, batch.labels), head.label(batch.labels)
    raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
    columns = label.dim() > 1
    known = space.unsqueeze(1) & (label == label) if columns else space
    # Null labels are replaced before the loss: NaN · 0 would still be NaN, in the gradient too.
    target = torch.where(known, head.target(label, batch), UNKNOWN if columns else options.outside)
    loss = row_losses(raw, target.to(raw.dtype), statistics, options)
    if loss.dim() > 1:  # by column
        loss = torch.where(known, loss, 0.0).sum(1) / known.sum(1).clamp(min=1)
    # What a row counts for is divided, not the sum: one operator less that autograd goes back through.
    counts = batch.weight if weights is None else batch.weight * weights
    rows = batch.size * (statistics.share if weights is None else 1.0)
    return torch.where(space, loss * (counts.to(loss.dtype) / rows), 0.0).sum()
