"""Train rows in, in groups of equal size by duration; each group's distribution of watch times out.

F(w) is the rank of a time w among those of its group's train rows, from 0 to 1; a time that many of
them have, as 0, has the middle of its ranks. F⁻¹ is linear between their order statistics, so that
F⁻¹(F(w)) = w from the group's least time to its greatest. Of each group KNOTS evenly spaced quantiles
are kept, between which both are linear.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from recmtl.batch import Batch

KNOTS = 1001
MOST = 1 << 22  # train rows that are read: they lie there in random order, so that the first are a sample
_STEPS = tuple(1 << bit for bit in reversed(range(KNOTS.bit_length())))  # of a bisection


@dataclass(frozen=True)
class WatchTimes:
    """The distribution of watch times in the group of each of B rows."""

    knots: Tensor  # (G, K): a group's quantiles at 0, 1 / (K − 1), …, 1
    group: Tensor  # (B,)

    def quantile(self, time: Tensor) -> Tensor:
        """F(w) (B,), of times w (B,); 0 and 1 for those beyond the group's ends."""
        last = self.knots.shape[1] - 1
        below, up_to = self._counts(time)
        low, high = (below - 1).clamp(min=0), below.clamp(max=last)
        start, end = self.knots[self.group, low], self.knots[self.group, high]
        between = low + torch.where(end > start, (time - start) / (end - start), 0.0)
        return torch.where(up_to > below, (below + up_to - 1) / 2, between) / last

    def time(self, quantile: Tensor) -> Tensor:
        """F⁻¹(q) (B,), of quantiles q (B,) between 0 and 1; NaN of NaN."""
        last = self.knots.shape[1] - 1
        place = quantile * last
        low = place.nan_to_num().long().clamp(max=last - 1)
        start, end = self.knots[self.group, low], self.knots[self.group, low + 1]
        return start + (place - low) * (end - start)

    def _counts(self, time: Tensor) -> Tensor:
        """How many of its group's knots are below a row's time, and how many are not above it (2, B).

        By bisection: torch.searchsorted would want a copy of the group's knots for each row.
        """
        found = torch.zeros(2, len(time), dtype=torch.long, device=time.device)
        for step in _STEPS:
            further = (found + step).clamp(max=self.knots.shape[1])
            below, up_to = self.knots[self.group, further - 1]
            found = torch.where(torch.stack([below < time, up_to <= time]), further, found)
        return found


class DurationGroups(nn.Module):
    """`groups` of rows by a numeric feature, and one of rows without it: a batch in, WatchTimes out.

    `columns` are the feature's two of `Batch.dense`: its number, scaled by a map that keeps order, and a
    flag of rows that have none.
    """

    edges: Tensor  # (G − 1,): the least duration of each group but the first
    knots: Tensor  # (G + 1, K): the last is of rows without a duration

    def __init__(self, columns: slice, groups: int) -> None:
        super().__init__()
        self.columns = columns
        self.register_buffer("edges", torch.zeros(groups - 1))
        self.register_buffer("knots", torch.zeros(groups + 1, KNOTS))

    def forward(self, batch: Batch) -> WatchTimes:
        return WatchTimes(self.knots, self._group(batch.dense[:, self.columns]))

    @torch.no_grad()
    def learn(self, blocks: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """From blocks of train rows: watch times (n,) and the feature's columns (n, 2).

        Of durations that many rows have, all are in one group: others are smaller then, or empty. A group
        without a row, as that without a duration may be, has the distribution of all.
        """
        times, read = _first(blocks)
        known = read[read[:, 1] == 0, 0]
        count = len(self.knots) - 1
        if len(known):
            self.edges.copy_(torch.from_numpy(np.quantile(known, np.arange(1, count) / count)))
        group = self._group(torch.from_numpy(read)).numpy()
        ends = np.bincount(group, minlength=count + 1).cumsum()
        for number, own in enumerate(np.split(times[np.argsort(group, kind="stable")], ends[:-1])):
            self.knots[number].copy_(torch.from_numpy(_knots(own if len(own) else times)))

    def _group(self, read: Tensor) -> Tensor:
        """The number of each row's group (B,), from the feature's columns (B, 2)."""
        duration, missing = read.to(self.edges.dtype).t().contiguous()
        group = torch.bucketize(duration, self.edges, right=True)
        return torch.where(missing > 0, len(self.edges) + 1, group)


def _knots(times: np.ndarray) -> np.ndarray:
    """(K,) quantiles of (n,): order statistics where places are whole, else linear between them."""
    places = np.arange(KNOTS) * (len(times) - 1) / (KNOTS - 1)
    found: np.ndarray = np.interp(places, np.arange(len(times)), np.sort(times))
    return found


def _first(blocks: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The first MOST rows of all blocks."""
    found, rows = [], 0
    for times, read in blocks:
        found.append((times[: MOST - rows], read[: MOST - rows]))
        rows += len(found[-1][0])
        if rows == MOST:
            break
    times, read = zip(*found, strict=True)
    return np.concatenate(times), np.concatenate(read)
