"""What one column alone says of a label: sampled rows in, areas under the curve out.

A number is taken by its value, in either direction; an id by the label's rate of its value on the other
half of the rows, so that an id that is there once says nothing; that there is no value is looked at, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recmtl.data.contract.columns import Columns
from recmtl.data.contract.sample import Kind, flat
from recmtl.schema import Problem

Columned = Mapping[str, pa.ChunkedArray]
FEWEST = 30  # rows of either class: with fewer an area says nothing
PART = 4  # of rows with lists one in so many is read
ENOUGH = 2 * PART * FEWEST  # of these, the rows that ids and elements of lists are judged on are FEWEST


@dataclass(frozen=True)
class Space:
    """The rows that a label is judged on: where it is known, or where `given` is 1, too; and how many of
    either class there were to judge it on, None where it is no label of two classes."""

    label: str
    given: str | None
    positives: int | None = 0
    negatives: int | None = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def find(self, values: Columned) -> tuple[np.ndarray, np.ndarray]:
        """The label of every row, and whether the row is one of them."""
        y = _number(values[self.label])
        inside = ~np.isnan(y)
        return y, inside if self.given is None else inside & (_number(values[self.given]) == 1)

    def count(self, values: Columned) -> "Space":
        """The same with the rows that there are."""
        y, inside = self.find(values)
        if not np.isin(y[inside], (0.0, 1.0)).all():
            return replace(self, positives=None, negatives=None)
        positives = int((y[inside] > 0).sum())
        return replace(self, positives=positives, negatives=int(inside.sum()) - positives)


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


def spaces_of(problem: Problem) -> list[Space]:
    """Every label on the rows of its tasks; one without a task on all rows."""
    pairs = {(n, task.given): None for task in problem.tasks.values() for n in task.labels}
    pairs |= {(name, None): None for name in problem.labels if name not in {p[0] for p in pairs}}
    return [Space(label, given) for label, given in pairs]


def strengths(
    spaces: Sequence[Space], columns: Columns, values: Columned, whole: np.ndarray | None = None
) -> Iterator[Strength]:
    """Every feature's column against every label. Of the rows `whole` all elements of lists are read."""
    found = {space: space.find(values) for space in spaces}
    for name, kind in columns.features.items():
        if kind == "vector":
            continue
        seen = _Column(values[name], kind, whole)
        for space, (y, inside) in found.items():
            binary = bool(np.isin(y[inside], (0.0, 1.0)).all())
            auc = seen.auc(y > 0, inside) if binary else None
            equal, rows = seen.equals(y, inside), int(inside.sum())
            yield Strength(name, space.label, space.given, auc, equal, rows)


class _Column:
    """Values as codes, lists element by element; numbers' codes are in their order."""

    def __init__(self, values: pa.ChunkedArray, kind: Kind, whole: np.ndarray | None) -> None:
        self._ordered = kind == "number"
        self._there = values.is_valid().to_numpy()
        elements, self._rows = flat(values)
        if kind == "lists":  # they are long
            some = self._rows % PART == 0
            some |= whole[self._rows] if whole is not None else False
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
