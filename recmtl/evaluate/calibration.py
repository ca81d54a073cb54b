"""Labels and probabilities in, reliability bins and the expected calibration error out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Rows of like scores: their mean score against the rate of positives among them."""

    rows: int
    score: float
    rate: float


def reliability(label: np.ndarray, score: np.ndarray, bins: int = BINS) -> list[Bin]:
    """At most `bins` bins of about equally many rows, from low to high scores.

    `label` (N,) is 0 or 1 without nulls. Rows of equal score share a bin, so that the order of
    the rows does not matter; many equal scores give fewer and larger bins.
    """
    if len(label) == 0:
        return []
    order = np.argsort(score, kind="stable")
    score, label = np.asarray(score, np.float64)[order], np.asarray(label, np.float64)[order]
    wanted = score[np.arange(1, bins) * len(score) // bins]
    cuts = np.unique([0, *np.searchsorted(score, wanted, side="left"), len(score)])
    rows = np.diff(cuts)
    scores = np.add.reduceat(score, cuts[:-1]) / rows
    rates = np.add.reduceat(label, cuts[:-1]) / rows
    return [Bin(int(n), float(s), float(r)) for n, s, r in zip(rows, scores, rates, strict=True)]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: mean over rows of |rate − score| of their bin; 0 without rows.

    References: Naeini, Cooper and Hauskrecht, AAAI 2015 (there with bins of equal width).
    """
    rows = sum(b.rows for b in bins)
    return sum(b.rows * abs(b.rate - b.score) for b in bins) / rows if rows else 0.0
