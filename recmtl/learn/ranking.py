"""Ranking within users or requests: raw outputs and labels of rows that belong together in, a scalar out.

The rows of one user or request lie side by side in a batch, so that a pair is a row and one some places
after it: time is as the number of pairs, memory as that of rows.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from recmtl.batch import Batch
from recmtl.errors import RecmtlError
from recmtl.heads import head_of
from recmtl.learn.tasks import TaskStatistics, label_space
from recmtl.schema import Task
from recmtl.schema.losses import LossConfig

RankingFunction = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def pairwise(raw: Tensor, label: Tensor, run: Tensor, rows: Tensor) -> Tensor:
    """The mean of log(1 + e^(z_j − z_i)) over all pairs of rows of one run with y_i > y_j; 0 without one.

    From raw outputs z and labels y (R,), the number of each row's run (R,), and the rows of each run
    (G,), runs being numbered as they come.

    Reference: Burges et al., Learning to Rank using Gradient Descent, ICML 2005.
    """
    loss: Tensor = _Pairs.apply(raw, label, run, rows)  # type: ignore[no-untyped-call]
    return loss


class _Pairs(torch.autograd.Function):
    """Loss and gradient in one pass over the distances between a pair's rows: no pair is kept."""

    @staticmethod
    def forward(ctx: Any, raw: Tensor, label: Tensor, run: Tensor, rows: Tensor) -> Tensor:
        last = rows.cumsum(0) - 1
        after = last[run] - torch.arange(len(run), device=run.device)  # rows of its run behind each row
        places = after.argsort(descending=True, stable=True)
        # How many rows have one of their run so many places behind them, from 1 on.
        have = torch.bincount(after).flip(0).cumsum(0).flip(0)[1:]
        loss, gradient = raw.new_zeros(()), torch.zeros_like(raw)
        pairs = torch.zeros_like(loss)
        for distance, count in enumerate(have.tolist(), start=1):
            one = places[:count]
            other = one + distance
            sign = (label[one] - label[other]).sign()
            margin = sign * (raw[one] - raw[other])
            loss += (sign.abs() * F.softplus(-margin)).sum()
            pairs += sign.abs().sum()
            slope = sign * torch.sigmoid(-margin)
            gradient[one] -= slope
            gradient[other] += slope
        pairs.clamp_(min=1)
        ctx.save_for_backward(gradient / pairs)
        return loss / pairs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return above * gradient, None, None, None


def listwise(raw: Tensor, label: Tensor, run: Tensor, rows: Tensor) -> Tensor:
    """The mean of −Σ_i (y_i / Σ y) · log softmax(z)_i over runs of two rows or more with a positive.

    Sums and softmax are over the rows of a run; 0 without such a run. Shapes are those of `pairwise`.

    References: Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach, ICML 2007, its
    probabilities of being on top; those of the labels are as in Bruch et al., ICTIR 2019.
    """
    none = raw.new_zeros(len(rows))
    top = (none - torch.inf).scatter_reduce(0, run, raw.detach(), "amax")
    below = raw - top[run]
    log = below - none.index_add(0, run, below.exp()).log()[run]
    positives = none.index_add(0, run, label)
    counted = (positives > 0) & (rows > 1)
    share = torch.where(counted, 1 / positives, 0.0)
    return -(share[run] * label * log).sum() / counted.sum().clamp(min=1)


RANKINGS: Mapping[str, RankingFunction] = {"pairwise": pairwise, "listwise": listwise}


def ranking_loss(
    task: Task, raw: Tensor, batch: Batch, statistics: TaskStatistics, options: LossConfig
) -> Tensor:
    """The term of a loss with a `ranking` on a batch, without its weight: a scalar, in fp32 (fp64 stays).

    It sees the rows of the task's label space whose weight is not 0; weights count no further. They are
    in the order of what their raw outputs are held to: under `d2q` of quantiles, not of times. A
    regression's outputs are in units of the label's standard deviation, as in its loss. In a group of
    processes each has the mean over its own rows, times its part of the batch: they add up to a mean.
    Raises RecmtlError where the batch does not say which rows belong together.
    """
    if batch.together is None:
        raise RecmtlError(
            "rows are ranked within a user or request, and a batch says nothing of these",
            where="[data]", fix="name the column in `together`",
        )
    assert options.ranking is not None
    head = head_of(task, options, statistics.kept)
    raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
    inside = (label_space(task, batch.labels) & (batch.weight > 0)).nonzero().squeeze(1)
    label = head.target(head.label(batch.labels), batch)[inside].to(raw.dtype)
    _, run, rows = torch.unique_consecutive(
        batch.together[inside], return_inverse=True, return_counts=True
    )
    unit = head.start(statistics.mean, statistics.std).scale  # in which a tower moves it
    assert isinstance(unit, float)  # of one label
    found = RANKINGS[options.ranking.kind](raw[inside] / unit, label, run, rows)
    return found * (len(batch) / batch.size)
