"""Labels, scores of several models on the same rows and the rows' groups in; intervals out.

A paired bootstrap: groups (users) are drawn with replacement, and every model is measured on the
same draws, so that what the rows have in common cancels in a difference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from recmtl.errors import RecmtlError
from recmtl.learn.metrics import row_logloss
from recmtl.seed import numpy_generator

Statistic = Literal["auc", "logloss", "rmse"]
LEVEL = 0.95

Weighted = Callable[[np.ndarray], float]  # how often each group was drawn (G,) → statistic


@dataclass(frozen=True)
class Estimate:
    """A value, its standard error and its 95 % percentile interval."""

    value: float
    se: float
    low: float
    high: float


@dataclass(frozen=True)
class Bootstrap:
    """Each model's statistic on the rows as they are, and on every draw (R,).

    A draw without both classes has no AUC and is NaN for every model; the estimates leave it out.
    """

    value: Mapping[str, float]
    draws: Mapping[str, np.ndarray]

    def estimate(self, model: str) -> Estimate:
        return estimate(self.value[model], self.draws[model])

    def difference(self, model: str, reference: str) -> Estimate:
        """`model` less `reference`, paired by draw."""
        return estimate(
            self.value[model] - self.value[reference], self.draws[model] - self.draws[reference]
        )


def estimate(value: float, draws: np.ndarray) -> Estimate:
    """The estimate that bootstrap draws (R,) give for `value`; draws that are NaN are left out."""
    drawn = draws[np.isfinite(draws)]
    if len(drawn) < 2:
        return Estimate(value, 0.0, value, value)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(drawn.std(ddof=1)), float(low), float(high))


def paired_bootstrap(
    label: np.ndarray,
    scores: Mapping[str, np.ndarray],
    group: np.ndarray | None = None,
    *,
    statistic: Statistic = "auc",
    replicates: int = 400,
    seed: int = 0,
) -> Bootstrap:
    """Draw groups with replacement and measure every model on each draw.

    `label` and each score are (N,) without nulls; `group` (N,) says which rows belong together,
    None (or a null) that a row stands alone. AUC is exact with ties, from one sort a model; memory
    is O(N).
    Raises RecmtlError where the statistic is not defined on the rows.

    References: Efron and Tibshirani, An Introduction to the Bootstrap, 1993.
    """
    label = np.asarray(label)
    if len(label) == 0 or (statistic == "auc" and not 0 < int((label > 0).sum()) < len(label)):
        raise RecmtlError(f"{statistic} is not defined on these {len(label)} rows",
                          expected="rows of both classes" if statistic == "auc" else "rows")
    code = np.arange(len(label)) if group is None else _codes(group)
    groups = int(code.max()) + 1
    measures = {m: _MEASURES[statistic](label, np.asarray(s), code) for m, s in scores.items()}
    draws = {model: np.empty(replicates) for model in scores}
    random = numpy_generator(seed, "bootstrap")
    for i in range(replicates):
        times = np.bincount(random.integers(0, groups, size=groups), minlength=groups)
        for model, measure in measures.items():
            draws[model][i] = measure(times)
    once = np.ones(groups, dtype=np.int64)
    return Bootstrap({model: measure(once) for model, measure in measures.items()}, draws)


def _codes(group: np.ndarray) -> np.ndarray:
    """Groups as numbers from 0 (N,); each row without a group (None, NaN) stands alone."""
    indices = pa.array(group, from_pandas=True).dictionary_encode().indices.fill_null(-1)
    code: np.ndarray = indices.to_numpy(zero_copy_only=False).astype(np.int64)
    alone = code < 0
    code[alone] = code.max() + 1 + np.arange(alone.sum())
    return code


def _weighted_auc(label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
    order = np.argsort(score, kind="stable")
    score, code, positive = score[order], code[order], label[order] > 0
    negatives, negative_code, positive_code = score[~positive], code[~positive], code[positive]
    below = np.searchsorted(negatives, score[positive], side="left")
    not_above = np.searchsorted(negatives, score[positive], side="right")
    filled = np.zeros(len(negatives) + 1, dtype=np.int64)

    def measure(times: np.ndarray) -> float:
        np.cumsum(times[negative_code], out=filled[1:])
        weight = times[positive_code]
        pairs = 2.0 * float(weight.sum()) * float(filled[-1])
        won = float(weight @ filled[below] + weight @ filled[not_above])
        return won / pairs if pairs else float("nan")

    return measure


def _weighted_logloss(label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
    return _weighted_mean(row_logloss(label, score), code)


def _weighted_rmse(label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
    mean = _weighted_mean((score.astype(np.float64) - label) ** 2, code)
    return lambda times: float(np.sqrt(mean(times)))


def _weighted_mean(value: np.ndarray, code: np.ndarray) -> Weighted:
    total, rows = np.bincount(code, weights=value), np.bincount(code)
    return lambda times: float(times @ total) / float(times @ rows)


_MEASURES: Mapping[Statistic, Callable[[np.ndarray, np.ndarray, np.ndarray], Weighted]] = {
    "auc": _weighted_auc, "logloss": _weighted_logloss, "rmse": _weighted_rmse,
}
