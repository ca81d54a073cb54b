"""What one column alone says of a label: sampled rows in, areas under the curve out.

A number is taken by its value, in either direction; an id by the label's rate of its value on the other
half of the rows, so that an id that is there once says nothing; that there is no value is looked at, too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recmtl.data.contract.columns import Columns, Kind
from recmtl.data.contract.sample import flat
from recmtl.schema import Problem

FEWEST = 30  # rows of either class: with fewer an area says nothing
PART = 4  # of rows with lists one in so many is read


@dataclass(frozen=True)
class Strength:
    """`auc` is .5 or more, whatever the direction; None where a class has too few rows."""

    column: str
    label: str
    given: str | None
    auc: float | None
    equal: bool
    rows: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def strengths(
    problem: Problem, columns: Columns, values: Mapping[str, pa.ChunkedArray]
) -> Iterator[Strength]:
    """Every feature's column against every label, on the rows of that label's tasks."""
    spaces = {(task.label, task.given): None for task in problem.tasks.values()}
    spaces |= {(name, None): None for name in problem.labels if name not in {s[0] for s in spaces}}
    labels = {name: _number(values[name]) for name in problem.labels}
    known = {
        (label, given): ~np.isnan(labels[label]) & (True if given is None else labels[given] == 1)
        for label, given in spaces
    }
    for name, kind in columns.features.items():
        if kind == "vector":
            continue
        seen = _Column(values[name], kind)
        for (label, given), space in known.items():
            y = labels[label]
            binary = bool(np.isin(y[space], (0.0, 1.0)).all())
            auc = seen.auc(y > 0, space) if binary else None
            yield Strength(name, label, given, auc, seen.equals(y, space), int(space.sum()))


class _Column:
    """Values as codes, lists element by element; numbers' codes are in their order."""

    def __init__(self, values: pa.ChunkedArray, kind: Kind) -> None:
        self._ordered = kind == "number"
        self._there = values.is_valid().to_numpy()
        elements, self._rows = flat(values)
        if kind == "lists":  # they are long
            some = self._rows % PART == 0
            elements, self._rows = elements.filter(pa.array(some)), self._rows[some]
        found = elements.dictionary_encode()
        distinct = found.dictionary
        self._codes, self._size = found.indices.to_numpy(), len(distinct)
        self._numbers = _number(distinct) if pa.types.is_integer(distinct.type) else None
        if self._ordered:
            places = pc.rank(distinct, tiebreaker="dense").to_numpy() - 1
            self._codes, self._numbers = places[self._codes], np.sort(_number(distinct))

    def auc(self, positive: np.ndarray, space: np.ndarray) -> float | None:
        """The larger of what the value says and of what it says that there is one."""
        inside = space[self._rows]
        codes, y = self._codes[inside], positive[self._rows][inside]
        score: np.ndarray = np.arange(self._size)
        if not self._ordered:
            first = self._rows[inside] // PART % 2 == 0
            score = self._rates(codes[first], y[first])
            codes, y = codes[~first], y[~first]
        by_value = area(score, *self._count(codes, y, self._size))
        by_presence = area(np.arange(2), *self._count(self._there[space] * 1, positive[space], 2))
        return max((a for a in (by_value, by_presence) if a is not None), default=None)

    def equals(self, label: np.ndarray, space: np.ndarray) -> bool:
        """Whether the column is the label where it has a value, and not merely constant as that is."""
        inside = space[self._rows]
        if self._numbers is None or inside.sum() < FEWEST:
            return False
        values, y = self._numbers[self._codes[inside]], label[self._rows[inside]]
        return bool((values == y).all() and y.min() < y.max())

    def _rates(self, codes: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """The rate of positives of each code, that of all rows where a code is not there."""
        up, down = self._count(codes, positive, self._size)
        overall = positive.mean() if len(positive) else 0.0
        rates: np.ndarray = np.where(up + down > 0, up / np.maximum(up + down, 1), overall)
        return rates

    @staticmethod
    def _count(codes: np.ndarray, positive: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Positives and negatives of each code."""
        up = np.bincount(codes, weights=positive, minlength=size)
        return up, np.bincount(codes, minlength=size) - up


def area(score: np.ndarray, up: np.ndarray, down: np.ndarray) -> float | None:
    """The area under the ROC curve of groups with a score, positives and negatives each.

    Ties count half; the mirror image is taken where that is larger. None with too few of a class.
    """
    positives, negatives = up.sum(), down.sum()
    if min(positives, negatives) < FEWEST:
        return None
    _, place = np.unique(score, return_inverse=True)
    up, down = np.bincount(place, weights=up), np.bincount(place, weights=down)
    below = np.cumsum(down) - down
    value = float((up * (below + down / 2)).sum() / (positives * negatives))
    return max(value, 1 - value)


def _number(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    floats = pc.cast(whole, pa.float64(), safe=False)  # ids beyond 2^53 are no label
    found: np.ndarray = floats.to_numpy(zero_copy_only=False)
    return found
