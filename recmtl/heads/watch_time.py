"""Watch time: the logarithm of odds that are a time in, the time out."""

import math
from typing import Any

import numpy as np

from recmtl.batch import Batch
from recmtl.heads.head import Domain, Head, Numbers, Start
from recmtl.heads.measures import Weighted, weighted_mean
from recmtl.heads.regression import regression_metrics


class WatchTime(Head):
    """Raw output: a logit z (N,) of odds that are the expected time; its score is e^z.

    Reference: Covington et al., Deep Neural Networks for YouTube Recommendations, RecSys 2016.
    """

    headline = "mae"
    beside = ("rmse", "r2", "xauc")
    wanted = "times above 0"

    @property
    def domain(self) -> Domain:
        return Domain(positive=True)

    def counted(self, target: np.ndarray) -> np.ndarray:
        """The time, and whether it is 0: (N, 2)."""
        return np.stack([target, target == 0], axis=1)

    def nothing(self, mean: Numbers, std: Numbers) -> str | None:
        return "only 0" if mean_time(mean) == 0.0 else None

    def start(self, mean: Numbers = 0.5, std: Numbers = 1.0) -> Start:
        """The mean time."""
        return Start(shift=math.log(mean_time(mean)))

    def score(self, raw: Any, batch: Batch | None = None) -> Any:
        return raw.exp()

    def measure(self, label: np.ndarray, score: np.ndarray) -> dict[str, float]:
        return regression_metrics(label, score)

    def drawn(self, label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
        return weighted_mean(np.abs(np.asarray(score, dtype=np.float64) - label), code)


def mean_time(mean: Numbers) -> float:
    """Of what is counted."""
    return mean[0] if isinstance(mean, tuple) else mean
