"""A binary task: a logit in, the probability that its label is 1 out."""

import math
from typing import Any

import numpy as np

from recmtl.batch import Batch
from recmtl.heads.head import Domain, Head, Numbers, Start
from recmtl.heads.measures import Weighted, auc, grouped_auc, row_logloss, weighted_auc


class Binary(Head):
    """Raw output: a logit (N,)."""

    headline = "auc"
    beside = ("logloss", "pcoc")
    wanted = "0 and 1"
    says = "Probability of"
    formula = "P({})"
    calibrated = True
    within = ("gauc",)

    @property
    def domain(self) -> Domain:
        return Domain(boolean=True)

    def nothing(self, mean: Numbers, std: Numbers) -> str | None:
        return f"only {mean:g}" if mean in (0.0, 1.0) else None

    def start(self, mean: Numbers = 0.5, std: Numbers = 1.0) -> Start:
        """The logit of the base rate."""
        assert isinstance(mean, float)
        return Start(shift=math.log(mean / (1 - mean)))

    def score(self, raw: Any, batch: Batch | None = None) -> Any:
        return raw.sigmoid()

    def measure(self, label: np.ndarray, score: np.ndarray) -> dict[str, float]:
        return binary_metrics(label, score)

    def measure_within(
        self, label: np.ndarray, score: np.ndarray, together: np.ndarray
    ) -> dict[str, float]:
        found = grouped_auc(label, score, together)
        return {} if found is None else {"gauc": found}

    def drawn(self, label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
        return weighted_auc(label, score, code)


def binary_metrics(label: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Metrics of probabilities `score` (N,) for `label` (N,) of 0 and 1.

    `auc`, `logloss` (nats a row), `pcoc` (Σ score / Σ label), `rows`, `positives`, `base_rate`.
    What the rows do not define is absent, never NaN: AUC needs both classes, PCOC a positive.
    """
    label = np.asarray(label, dtype=np.float64)
    rows, positives = len(label), float(label.sum())
    metrics = {"rows": float(rows), "positives": positives}
    if rows == 0:
        return metrics
    metrics["base_rate"] = positives / rows
    metrics["logloss"] = float(row_logloss(label, score).mean())
    if positives > 0:
        metrics["pcoc"] = float(np.sum(score, dtype=np.float64)) / positives
    if 0 < positives < rows:
        metrics["auc"] = auc(label, score)
    return metrics
