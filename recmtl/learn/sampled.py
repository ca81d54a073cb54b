"""The softmax over some classes in place of all: how they are drawn, and the loss that it gives."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from recmtl.batch import Factored
from recmtl.learn.tasks import TaskStatistics
from recmtl.schema.losses import SampledSoftmax


def sampled_softmax(
    raw: Factored, label: Tensor, statistics: TaskStatistics, options: SampledSoftmax
) -> Tensor:
    """log(e^z_y + Σ_{s ≠ y} e^z_s / (S·q_s)) − z_y, of logits z (B, K) and classes y (B,) → (B,).

    The S = `samples` classes s are drawn anew each step, the same for all rows, class k S·q_k times on
    average: the sum is then, on average, that over all other classes, and the loss that of the softmax as
    S grows; a small S gives less. q is 1 / K, or the mean of that and the class's share of train. Only
    the rows of these classes have a gradient. A class below 0 is none: its row's loss means nothing.

    References: Bengio and Senécal, IEEE Transactions on Neural Networks 19(4), 2008; Jean et al., ACL
    2015; with a row's own class left as it is, Blanc and Rendle, ICML 2018 (their equation 2).
    """
    ends, logs = proposal(statistics, options.proposal, raw.device)
    count, own = min(options.samples, len(ends)), label.long()
    drawn = draw(ends, count)
    own = torch.where(own < 0, drawn[0], own)
    of_own, of_drawn = torch.split(raw.rows(torch.cat([own, drawn])), [len(own), count])
    at = (raw.hidden * of_own).sum(1, keepdim=True)  # (B, 1)
    expected = logs[drawn] + np.log(count)
    others = raw.hidden @ of_drawn.t() - expected.to(at.dtype)  # (B, S)
    others = others.masked_fill(drawn == own.unsqueeze(1), -torch.inf)
    return torch.logsumexp(torch.cat([at, others], 1), 1) - at.squeeze(1)


def draw(ends: Tensor, count: int) -> Tensor:
    """Classes (count,), one from each of as many equal parts of all shares, which `ends` cumulates (K,).

    So class k is drawn count · q_k times on average, and where that is a whole number and all shares are
    equal just so often: of all classes each once.
    """
    at = torch.arange(count, dtype=ends.dtype, device=ends.device)
    at = (at + torch.rand(count, dtype=ends.dtype, device=ends.device)) / count
    return torch.searchsorted(ends, at, right=True).clamp(max=len(ends) - 1)


@lru_cache(maxsize=8)  # a step that is recorded on a GPU may not copy anything there
def proposal(statistics: TaskStatistics, kind: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Shares of classes by which they are drawn, cumulated, and their logarithms: (K,) fp64 each."""
    train = np.array(statistics.mean)
    even = np.full(len(train), 1 / len(train))
    shares = even if kind == "uniform" else (even + train) / 2  # no class is never drawn
    ends = shares.cumsum() / shares.sum()
    return torch.from_numpy(ends).to(device), torch.from_numpy(np.log(shares)).to(device)
