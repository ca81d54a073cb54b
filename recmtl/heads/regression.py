"""A regression: a number in the label's unit in, the same out; or several side by side, or of log1p."""

from typing import Any

import numpy as np

from recmtl.batch import Batch
from recmtl.heads.head import Domain, Head, Numbers, Start, spread
from recmtl.heads.measures import Weighted, concordance, weighted_mean, weighted_rmse


class Regression(Head):
    """Raw output: a prediction (N,), or (N, C) of several labels; with `log` of log1p of them."""

    @property
    def headline(self) -> str:
        return "nrmse" if self.columns else "rmse"

    @property
    def beside(self) -> tuple[str, ...]:
        return ("nmae" if self.columns else "mae", "r2", "xauc")

    @property
    def columns(self) -> int | None:
        return None if isinstance(self.task.label, str) else len(self.task.label)

    @property
    def domain(self) -> Domain:
        return Domain(positive=self.task.log)

    def target(self, label: Any, batch: Batch | None = None) -> Any:
        if not self.task.log:
            return label
        return np.log1p(label) if isinstance(label, np.ndarray) else label.log1p()

    def start(self, mean: Numbers = 0.5, std: Numbers = 1.0) -> Start:
        """The target's mean; the network moves it in the target's standard deviations."""
        return Start(self.columns, spread(mean, self.columns), spread(std, self.columns))

    def score(self, raw: Any, batch: Batch | None = None) -> Any:
        return raw.expm1() if self.task.log else raw

    def measure(self, label: np.ndarray, score: np.ndarray) -> dict[str, float]:
        return vector_metrics(label, score) if self.columns else regression_metrics(label, score)

    def drawn(self, label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
        if not self.columns:
            return weighted_rmse(label, score, code)
        label, score = np.asarray(label, dtype=np.float64), np.asarray(score, dtype=np.float64)
        parts = [_unexplained(label[:, j], score[:, j], code) for j in _varied(label)]
        return lambda times: float(np.sqrt(np.mean([part(times) for part in parts])))


def _unexplained(label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
    """Mean squared error / variance of the label (N,); NaN for a draw whose label never changes."""
    away = label - np.nanmean(label)
    error, first, second = (weighted_mean(v, code) for v in ((score - label) ** 2, away, away**2))

    def measure(times: np.ndarray) -> float:
        variance = second(times) - first(times) ** 2
        return error(times) / variance if variance > 0 else float("nan")

    return measure


def regression_metrics(label: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Of (N,) `rmse`, `mae` (in the label's unit), `r2`, `xauc` (absent for a constant label), `rows`."""
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
    pairs = concordance(label, score)
    if pairs is not None:
        metrics["xauc"] = pairs
    return metrics


def vector_metrics(label: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """`nrmse`, `nmae`, `r2`, `xauc` and `rows`; from (N, C), NaN where a label is not known.

    Of each column e = (score − label) / the label's standard deviation on these rows: `nrmse` is the root
    of the mean over columns of mean e², `nmae` the mean of mean |e|, `r2` the mean of 1 − mean e²,
    `xauc` the mean of each one's. A label that never changes here is left out.
    """
    label = np.asarray(label, dtype=np.float64)
    metrics, columns = {"rows": float(len(label))}, _varied(label)
    if columns:
        label, score = label[:, columns], np.asarray(score, dtype=np.float64)[:, columns]
        error = (score - label) / np.nanstd(label, axis=0)
        squares = np.nanmean(error**2, axis=0)
        metrics["nrmse"] = float(np.sqrt(squares.mean()))
        metrics["nmae"] = float(np.nanmean(np.abs(error), axis=0).mean())
        metrics["r2"] = float(1.0 - squares.mean())
        known = [~np.isnan(column) for column in label.T]
        pairs = [concordance(label[k, j], score[k, j]) for j, k in enumerate(known)]
        metrics["xauc"] = float(np.mean([pair for pair in pairs if pair is not None]))
    return metrics


def _varied(label: np.ndarray) -> list[int]:
    """The columns of (N, C) that hold two values or more."""
    return [j for j, column in enumerate(label.T) if len(np.unique(column[~np.isnan(column)])) > 1]
