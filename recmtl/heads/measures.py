"""Labels and scores in, exact figures out; and the same figures over groups that are drawn.

A measure takes label, score and the number of each row's group, and gives a function from how often each
group was drawn to the figure: what all draws have in common, such as the order of scores, is done once.
"""

from collections.abc import Callable

import numpy as np

from recmtl.errors import RecmtlError

CLIP = float(np.finfo(np.float32).eps)  # scores are float32: 1 - eps is the last one below 1

Weighted = Callable[[np.ndarray], float]  # how often each group was drawn (G,) → figure
Measure = Callable[[np.ndarray, np.ndarray, np.ndarray], Weighted]  # label, score, group (N,)


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve by mid-ranks: P(score⁺ > score⁻) + ½ P(score⁺ = score⁻).

    Counted in whole numbers, so that it is exact for any rows and ties. Needs both classes.

    References: Hanley and McNeil, Radiology 143(1), 1982.
    """
    positive = np.asarray(label) > 0
    negatives = np.sort(np.asarray(score)[~positive])
    positives = np.asarray(score)[positive]
    below = np.searchsorted(negatives, positives, side="left").sum(dtype=np.int64)
    not_above = np.searchsorted(negatives, positives, side="right").sum(dtype=np.int64)
    return float(below + not_above) / (2.0 * len(negatives) * len(positives))


def row_logloss(label: np.ndarray, score: np.ndarray) -> np.ndarray:
    """−log p of what happened, a row, in nats (N,) float64; p is kept within [eps, 1 − eps]."""
    p = np.clip(np.asarray(score, dtype=np.float64), CLIP, 1.0 - CLIP)
    return -np.where(np.asarray(label) > 0, np.log(p), np.log1p(-p))


def weighted_auc(label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
    """AUC, exact with ties, from one sort; NaN for a draw without both classes.

    Raises RecmtlError where the rows themselves lack one.
    """
    if not 0 < int((label > 0).sum()) < len(label):
        raise RecmtlError(f"auc is not defined on these {len(label)} rows",
                          expected="rows of both classes")
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


def weighted_logloss(label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
    return weighted_mean(row_logloss(label, score), code)


def weighted_rmse(label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
    mean = weighted_mean((score.astype(np.float64) - label) ** 2, code)
    return lambda times: float(np.sqrt(mean(times)))


def weighted_mean(value: np.ndarray, code: np.ndarray) -> Weighted:
    """The mean over the drawn rows of a value (N,); NaN is left out, and what a draw without others is.

    Raises RecmtlError where there are no rows.
    """
    known = ~np.isnan(value)
    if not known.any():
        raise RecmtlError("a mean is not defined on no rows", expected="rows")
    total, rows = np.bincount(code, weights=np.where(known, value, 0.0)), np.bincount(code, weights=known)

    def measure(times: np.ndarray) -> float:
        drawn = float(times @ rows)
        return float(times @ total) / drawn if drawn else float("nan")

    return measure
