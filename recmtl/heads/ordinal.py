"""An ordinal task: by how much each threshold between classes is passed in, a probability a class out."""

import math
from itertools import accumulate
from typing import Any

import numpy as np

from recmtl.batch import Batch
from recmtl.heads.head import Numbers, Start
from recmtl.heads.measures import Weighted, weighted_mean
from recmtl.heads.multiclass import OfClasses, class_logloss

RAREST = 1e-3  # the share that a class is given at least where thresholds start


class Ordinal(OfClasses):
    """Raw output: logits of P(y > k), (N, K − 1), z − θ_k of one z and thresholds θ_0 < θ_1 < …

    Its score are the probabilities (N, K) of the classes, in their order.

    Reference: McCullagh, Regression Models for Ordinal Data, JRSS B 42(2), 1980.
    """

    headline = "mae"
    beside = ("accuracy", "kappa", "logloss")

    def start(self, mean: Numbers = 0.5, std: Numbers = 1.0) -> Start:
        """Thresholds at which z = 0 gives each class its share of train."""
        shares = mean if isinstance(mean, tuple) else (1.0,) * self.columns
        shares = tuple(max(share, RAREST) for share in shares)
        below = [share / sum(shares) for share in accumulate(shares[:-1])]  # P(y ≤ k)
        return Start(thresholds=tuple(math.log(p / (1 - p)) for p in below))

    def score(self, raw: Any, batch: Batch | None = None) -> Any:
        above = raw.sigmoid()
        ends = above.new_ones(len(above), 1), above.new_zeros(len(above), 1)
        return -above.diff(prepend=ends[0], append=ends[1])

    def measure(self, label: np.ndarray, score: np.ndarray) -> dict[str, float]:
        return ordinal_metrics(label, score)

    def drawn(self, label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
        return weighted_mean(np.abs(median_class(score) - label), code)


def ordinal_metrics(label: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Metrics of probabilities `score` (N, K) for the ordered classes `label` (N,).

    Of the median class: `mae` (classes away from the label's), `accuracy`, and `kappa`, 1 − the mean of
    its squared distance / that of labels and classes paired at random (Cohen 1968); `logloss` (nats a
    row) of the probabilities; `rows`. What the rows do not define is absent.
    """
    label = np.asarray(label, dtype=np.float64)
    metrics = {"rows": float(len(label))}
    if len(label) == 0:
        return metrics
    found = median_class(score)
    metrics["mae"] = float(np.abs(found - label).mean())
    metrics["accuracy"] = float((found == label).mean())
    metrics["logloss"] = float(class_logloss(label, score).mean())
    at_random = label.var() + found.var() + (label.mean() - found.mean()) ** 2
    if at_random > 0:
        metrics["kappa"] = float(1.0 - ((found - label) ** 2).mean() / at_random)
    return metrics


def median_class(score: np.ndarray) -> np.ndarray:
    """The class (N,) that divides probabilities (N, K): how many k have P(y > k) > ½."""
    below = np.cumsum(score[:, :-1], axis=1, dtype=np.float64)
    median: np.ndarray = (below < 0.5).sum(axis=1)
    return median
