"""Distributions and the distance between two: values in, bins, counts and the stability index out.

A number's bins end at the deciles of the reference; an id's are its most frequent values, and all others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MOST_FREQUENT = 20
DECILES = np.arange(1, 10) / 10


@dataclass(frozen=True)
class Bins:
    """Upper ends of intervals, the last one open; or values, with all others behind them."""

    edges: tuple[float, ...] | None = None
    values: tuple[int | str, ...] | None = None

    @classmethod
    def of(cls, values: pa.Array, number: bool) -> "Bins":
        """The bins of a reference's values, which have no nulls."""
        if number:
            x = values.to_numpy(zero_copy_only=False).astype(float)
            return cls(edges=tuple(np.unique(np.quantile(x, DECILES)).tolist()) if x.size else ())
        found = pc.value_counts(values)
        ids, counts = found.field("values"), found.field("counts")
        order = pc.sort_indices(
            pa.table({"id": ids, "rows": counts}), sort_keys=[("rows", "descending"), ("id", "ascending")]
        )
        return cls(values=tuple(ids.take(order[:MOST_FREQUENT]).to_pylist()))

    def count(self, values: pa.Array) -> list[int]:
        """How many values fall into each bin."""
        if self.edges is not None:
            x = values.to_numpy(zero_copy_only=False).astype(float)
            places = np.searchsorted(np.asarray(self.edges, dtype=float), x, side="left")
            return _counts(places, len(self.edges) + 1)
        known = pa.array(self.values or (), type=values.type)
        found = pc.fill_null(pc.index_in(values, value_set=known), len(known))
        return _counts(found.to_numpy(zero_copy_only=False), len(known) + 1)

    def to_json(self) -> dict[str, Any]:
        return {"edges": self.edges} if self.edges is not None else {"values": self.values}

    @classmethod
    def from_json(cls, read: dict[str, Any]) -> "Bins":
        return cls(**{name: tuple(found) for name, found in read.items()})


def _counts(places: np.ndarray, size: int) -> list[int]:
    return [int(count) for count in np.bincount(places, minlength=size)]


def stability(
    reference: Sequence[int], counts: Sequence[int], sizes: tuple[int, int] | None = None
) -> tuple[float, float]:
    """The population stability index Σ (p − q) ln(p / q), and how large chance alone may make it.

    Half a row is added to every bin, so that an empty one is finite. Of equal distributions the index
    is (1/n + 1/m) χ² with a degree of freedom less than bins: mean and five deviations of that are
    what chance may do. `sizes` are how many of either say something of their own, where rows share it:
    those of one key have one rate. They are then counted as so many.
    """
    n, m = sizes or (sum(reference), sum(counts))
    old = np.asarray(reference) * (n / max(sum(reference), 1)) + 0.5
    new = np.asarray(counts) * (m / max(sum(counts), 1)) + 0.5
    p, q = new / new.sum(), old / old.sum()
    free = max(len(old) - 1, 1)
    chance = (1 / max(n, 1) + 1 / max(m, 1)) * (free + 5 * np.sqrt(2 * free))
    return float(((p - q) * np.log(p / q)).sum()), float(chance)
