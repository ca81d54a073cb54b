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


def grouped_auc(label: np.ndarray, score: np.ndarray, group: np.ndarray) -> float | None:
    """Σ rows · AUC / Σ rows over the groups (N,) that have both classes (GAUC); None where none has.

    The AUC of each is by mid-ranks, exact with ties, all from one sort.

    Reference: Zhou et al., Deep Interest Network, KDD 2018.
    """
    code = np.unique(group, return_inverse=True)[1]
    order = np.lexsort((score, code))
    code, score, positive = code[order], np.asarray(score)[order], np.asarray(label)[order] > 0
    new = np.ones(len(code), dtype=bool)
    new[1:] = (code[1:] != code[:-1]) | (score[1:] != score[:-1])
    tie, first = new.cumsum() - 1, np.flatnonzero(new)
    middle = first + (np.bincount(tie, minlength=len(first)) + 1) / 2  # of the ranks of a tie's rows
    rows, positives = np.bincount(code), np.bincount(code, weights=positive)
    ranks = np.bincount(code, weights=np.where(positive, middle[tie] - (rows.cumsum() - rows)[code], 0.0))
    pairs = positives * (rows - positives)
    won = ranks - positives * (positives + 1) / 2
    both = pairs > 0
    if not both.any():
        return None
    return float((rows[both] * won[both] / pairs[both]).sum() / rows[both].sum())


def row_logloss(label: np.ndarray, score: np.ndarray) -> np.ndarray:
    """−log p of what happened, a row, in nats (N,) float64; p is kept within [eps, 1 − eps]."""
    p = np.clip(np.asarray(score, dtype=np.float64), CLIP, 1.0 - CLIP)
    return -np.where(np.asarray(label) > 0, np.log(p), np.log1p(-p))


def concordance(label: np.ndarray, score: np.ndarray) -> float | None:
    """Share of the pairs of rows with different labels whose scores stand in the same order (XAUC).

    Equal scores count ½, so that for labels of 0 and 1 it is the AUC. None without such a pair. Counted
    in whole numbers in O(N log N).

    References: Kendall, Biometrika 30, 1938; Zhan et al., KDD 2022 (XAUC).
    """
    rank, place = (np.unique(values, return_inverse=True)[1] for values in (score, label))
    pairs = _pairs(np.array([len(label)])) - _pairs(np.bincount(place))
    if pairs == 0:
        return None
    both = np.unique(place * len(label) + rank, return_counts=True)[1]
    tied = _pairs(np.bincount(rank)) - _pairs(both)
    # Among equal labels scores fall: no pair of them rises.
    return (_rising(rank[np.lexsort((-rank, label))]) + tied / 2) / pairs


def _pairs(counts: np.ndarray) -> int:
    return int((counts * (counts - 1) // 2).sum())


def _rising(rank: np.ndarray) -> int:
    """Pairs i < j with rank_i < rank_j, of whole numbers (N,), bit by bit from the highest.

    Rows whose higher bits are equal lie side by side from `first` to `last`, in their order; a pair rises
    at the one bit where it parts.
    """
    place, found = np.arange(len(rank)), 0
    first, last = np.zeros_like(place), np.full_like(place, len(rank))
    for bit in reversed(range(int(rank.max()).bit_length())):
        one = (rank >> bit) & 1 == 1
        zeros = np.concatenate([[0], np.cumsum(~one)])
        before, inside = zeros[:-1] - zeros[first], zeros[last] - zeros[first]
        found += int(before[one].sum())
        middle = first + inside
        target = np.where(one, middle + place - first - before, first + before)
        first, last = np.where(one, middle, first), np.where(one, last, middle)
        moved = np.empty((3, len(rank)), dtype=rank.dtype)
        moved[:, target] = rank, first, last
        rank, first, last = moved
    return found


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
