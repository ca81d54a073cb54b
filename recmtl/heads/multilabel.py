"""Several binary labels of one task: a logit each in, the probability that each is 1 out."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from recmtl.batch import Batch
from recmtl.heads.head import Domain, Head, Numbers, Start, spread
from recmtl.heads.measures import Weighted, auc, row_logloss, weighted_auc


class Multilabel(Head):
    """Raw output: logits (N, C); its score: their σ (N, C), labels in the order of `label`.

    A null is a label that is not known, or, with `missing = "negative"`, one that is 0.
    """

    headline = "auc"
    beside = ("auc_weighted", "logloss", "logloss_weighted")
    says = "Probability of each of"
    formula = "P({})"
    wanted = "0 and 1"

    @property
    def columns(self) -> int:
        return len(self.task.labels)

    @property
    def domain(self) -> Domain:
        return Domain(boolean=True)

    def label(self, labels: Mapping[str, Any]) -> Any:
        label = super().label(labels)
        if self.task.missing != "negative":
            return label
        return np.nan_to_num(label) if isinstance(label, np.ndarray) else label.nan_to_num()

    def nothing(self, mean: Numbers, std: Numbers) -> str | None:
        for name, rate in zip(self.task.labels, mean if isinstance(mean, tuple) else (), strict=True):
            if rate in (0.0, 1.0):
                return f"only {rate:g} as {name!r}"
        return None

    def start(self, mean: Numbers = 0.5, std: Numbers = 1.0) -> Start:
        """The logit of each label's base rate."""
        rates = spread(mean, self.columns)
        assert isinstance(rates, tuple)
        return Start(self.columns, shift=tuple(math.log(rate / (1 - rate)) for rate in rates))

    def score(self, raw: Any, batch: Batch | None = None) -> Any:
        return raw.sigmoid()

    def measure(self, label: np.ndarray, score: np.ndarray) -> dict[str, float]:
        return label_metrics(label, score)

    def drawn(self, label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
        """The mean over labels; NaN for a draw in which one of them lacks a class."""
        parts = [weighted_auc(label[rows, j], score[rows, j], code[rows]) for j, rows in _of_both(label)]
        return lambda times: float(np.mean([part(times) for part in parts]))


def label_metrics(label: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Metrics of probabilities `score` (N, C) for `label` (N, C) of 0, 1 and NaN, which is left out.

    `auc` and `logloss` are means over the labels that have rows of both classes, `auc_weighted` and
    `logloss_weighted` the same by how many rows of each label are known; and `rows`.
    """
    metrics = {"rows": float(len(label))}
    found = [
        (np.count_nonzero(rows), auc(label[rows, j], score[rows, j]),
         float(row_logloss(label[rows, j], score[rows, j]).mean()))
        for j, rows in _of_both(label)
    ]
    if found:
        rows, *values = np.array(found).T
        for name, value in zip(("auc", "logloss"), values, strict=True):
            metrics[name] = float(value.mean())
            metrics[f"{name}_weighted"] = float(np.average(value, weights=rows))
    return metrics


def _of_both(label: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The columns of (N, C) with a 0 and a 1, and the rows (N,) where each is known."""
    for j, column in enumerate(label.T):
        if (column == 0).any() and (column == 1).any():
            yield j, ~np.isnan(column)
