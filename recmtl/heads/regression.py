"""A regression: a number in the label's unit in, the same out."""

from typing import Any

import numpy as np

from recmtl.heads.head import Head, Numbers, Start
from recmtl.heads.measures import Weighted, weighted_rmse


class Regression(Head):
    """Raw output: a prediction in the label's unit (N,)."""

    headline = "rmse"
    beside = ("mae", "r2")

    def start(self, mean: Numbers = 0.5, std: Numbers = 1.0) -> Start:
        """The label's mean; the network moves it in the label's standard deviations."""
        return Start(shift=mean, scale=std)

    def score(self, raw: Any) -> Any:
        return raw

    def measure(self, label: np.ndarray, score: np.ndarray) -> dict[str, float]:
        return regression_metrics(label, score)

    def drawn(self, label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
        return weighted_rmse(label, score, code)


def regression_metrics(label: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """`rmse`, `mae` (in the label's unit), `r2` (absent for a constant label) and `rows`; from (N,)."""
    label = np.asarray(label, dtype=np.float64)
    metrics = {"rows": float(len(label))}
    if len(label) == 0:
        return metrics
    error = np.asarray(score, dtype=np.float64) - label
    metrics["rmse"] = float(np.sqrt(np.mean(error**2)))
    metrics["mae"] = float(np.mean(np.abs(error)))
    total = float(np.sum((label - label.mean()) ** 2))
    if total > 0:
        metrics["r2"] = 1.0 - float(np.sum(error**2)) / total
    return metrics
