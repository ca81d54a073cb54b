"""Labels, scores of several models on the same rows and the rows' groups in; intervals out.

A paired bootstrap: groups (users) are drawn with replacement, and every model is measured on the
same draws, so that what the rows have in common cancels in a difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recmtl.heads.measures import Measure, weighted_auc
from recmtl.seed import numpy_generator

LEVEL = 0.95


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
    measure: Measure = weighted_auc,
    replicates: int = 400,
    seed: int = 0,
) -> Bootstrap:
    """Draw groups with replacement and measure every model on each draw.

    `label` and each score have N rows without nulls; `group` (N,) says which rows belong together,
    None (or a null) that a row stands alone. Memory is O(N).
    Raises RecmtlError where the measure is not defined on the rows.

    References: Efron and Tibshirani, An Introduction to the Bootstrap, 1993.
    """
    label = np.asarray(label)
    code = np.arange(len(label)) if group is None else _codes(group)
    measures = {m: measure(label, np.asarray(s), code) for m, s in scores.items()}
    groups = int(code.max()) + 1
    draws = {model: np.empty(replicates) for model in scores}
    random = numpy_generator(seed, "bootstrap")
    for i in range(replicates):
        times = np.bincount(random.integers(0, groups, size=groups), minlength=groups)
        for model, measured in measures.items():
            draws[model][i] = measured(times)
    once = np.ones(groups, dtype=np.int64)
    return Bootstrap({model: measured(once) for model, measured in measures.items()}, draws)


def _codes(group: np.ndarray) -> np.ndarray:
    """Groups as numbers from 0 (N,); each row without a group (None, NaN) stands alone."""
    indices = pa.array(group, from_pandas=True).dictionary_encode().indices.fill_null(-1)
    code: np.ndarray = indices.to_numpy(zero_copy_only=False).astype(np.int64)
    alone = code < 0
    code[alone] = code.max() + 1 + np.arange(alone.sum())
    return code
