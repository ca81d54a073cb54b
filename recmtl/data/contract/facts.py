"""All that was measured and counted, as the checks read it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import Any

from recmtl.data.contract.columns import Columns
from recmtl.data.contract.day import Day
from recmtl.data.contract.inputs import Files
from recmtl.data.contract.leakage import Space, Strength
from recmtl.schema import Problem
from recmtl.schema.contract import Contract

SURE = 4.0  # standard deviations from which on two shares differ


@dataclass(frozen=True)
class Facts:
    """Of one folder of examples and the log that it was made from.

    `types` are the columns of the files they come from, by key in the configuration, `identity` the
    columns in which repeated rows agree.
    """

    problem: Problem
    manifest: Mapping[str, Any]
    columns: Columns
    days: Sequence[Day]
    types: Mapping[str, Files]
    identity: tuple[str, ...]
    strengths: Sequence[Strength]
    spaces: Sequence[Space] = ()  # of the labels, with the rows that these were judged on

    @property
    def limits(self) -> Contract:
        return self.problem.contract

    @property
    def rows(self) -> int:
        return sum(day.rows for day in self.days)

    @property
    def sound(self) -> bool:
        """Whether the files hold what they should, so that they were measured."""
        return all(self.columns.sound(day.types) for day in self.days)

    def steps(self) -> Iterator[tuple[Day, Day]]:
        """Each day but the first, after the one before it."""
        return pairwise(self.days)


def differ(old: float, of: int, new: float, among: int) -> bool:
    """Whether two shares, `old` of so many and `new` among so many, differ by more than chance."""
    if not of or not among:
        return False
    pooled = (old * of + new * among) / (of + among)
    return abs(new - old) > SURE * sqrt(max(pooled * (1 - pooled), 1e-12) * (1 / of + 1 / among))


def worst(found: Mapping[str, float]) -> tuple[str, float]:
    """The day of the largest value, the first of several."""
    return max(found.items(), key=lambda item: item[1])


def on_days(found: Mapping[str, float]) -> str:
    """How many days more than the worst one."""
    return f"; {len(found)} days in all" if len(found) > 1 else ""


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"
