"""What the exact probabilities reach: per task, base rates of the whole log and AUC on its last day."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Oracle:
    """Collects chunks of truth and labels; keeps the rows of the test day, sums of the others."""

    def __init__(self) -> None:
        self._counts = np.zeros(3, dtype=np.int64)  # impressions, clicks, conversions
        self._sums = np.zeros(2)  # of p_conversion, over all rows and over clicked rows
        self._test: list[tuple[Floats, Floats, Bools, Bools]] = []

    def add(
        self, p_click: Floats, p_conversion: Floats, click: Bools, conversion: Bools, test: bool
    ) -> None:
        """Take a chunk: probabilities (N,), the conversion's given a click, and what happened."""
        self._counts += (len(click), click.sum(), conversion.sum())
        self._sums += (p_conversion.sum(), p_conversion[click].sum())
        if test:
            self._test.append((p_click, p_conversion, click, conversion))

    def summary(self) -> dict[str, Any]:
        """Counts, rates, the selection effect and the oracle's AUC per task; null where undefined."""
        impressions, clicks, conversions = (int(count) for count in self._counts)
        p_click, p_conversion, click, conversion = map(np.concatenate, zip(*self._test, strict=True))
        return {
            "counts": {"impressions": impressions, "clicks": clicks, "conversions": conversions},
            "rates": {
                "ctr": clicks / impressions,
                "cvr": conversions / clicks if clicks else None,
                "ctcvr": conversions / impressions,
            },
            "mean_p_conversion_given_click": {
                "all_rows": self._sums[0] / impressions,
                "clicked_rows": self._sums[1] / clicks if clicks else None,
            },
            "test": {
                "impressions": len(click),
                "clicks": int(click.sum()),
                "conversions": int(conversion.sum()),
                "auc": {
                    "ctr": auc(click, p_click),
                    "cvr": auc(conversion[click], p_conversion[click]),
                    "ctcvr": auc(conversion, p_click * p_conversion),
                },
            },
        }


def auc(label: Bools, score: Floats) -> float | None:
    """The area under the ROC curve, exact, ties counted half; None without both classes."""
    positives = int(label.sum())
    negatives = len(label) - positives
    if not positives or not negatives:
        return None
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2  # mean rank of each distinct score, from 1
    wins = rank[place][label].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))
