"""What a type of task is, asked wherever it matters: its labels, output, score and metrics."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from recmtl.batch import Batch, Layout
from recmtl.heads.measures import Weighted
from recmtl.schema import Task
from recmtl.schema.losses import LossConfig

if TYPE_CHECKING:
    from recmtl.heads.duration_groups import DurationGroups

Numbers = float | tuple[float, ...]  # one number, or one a column
NAMED = 20  # values of a label in words: there may be thousands


@dataclass(frozen=True)
class Domain:
    """The values that a label may have: any finite number, unless it says more.

    Of `classes` it is 0, 1, … in the examples; in the log too, unless `values` are what stands there.
    """

    boolean: bool = False  # 0 and 1 alone
    positive: bool = False  # 0 or more
    classes: int | None = None
    values: tuple[str | int, ...] = ()

    @property
    def expected(self) -> str:
        """In words, what it is in the log."""
        if self.values:
            named = ", ".join(map(repr, self.values[:NAMED]))
            more = f" and {len(self.values) - NAMED:,} more" if len(self.values) > NAMED else ""
            return f"one of {named}{more}, or null"
        if self.positive:
            return "a number, 0 or more, or null"
        last = 1 if self.boolean else (self.classes or 1) - 1
        return "0, 1 or null" if last == 1 else f"a whole number from 0 to {last}, or null"

    def outside(self, label: np.ndarray) -> np.ndarray:
        """Which rows (N,) of the examples hold what it may not be; null, NaN, is in every domain."""
        most = 1 if self.boolean else (self.classes or 0) - 1
        if most < 0:
            negative: np.ndarray = (label < 0) & self.positive
            return negative
        # All rows of a log come by here, and % of floats would take ten times as long.
        wrong: np.ndarray = np.trunc(label) != label
        wrong |= (label < 0) | (label > most)
        wrong &= ~np.isnan(label)
        return wrong


@dataclass(frozen=True)
class Start:
    """How a tower ends: raw = shift + scale · its last layer, which has `outputs` columns.

    `outputs` None is one number a row, (B,). Shift and scale are one number, or one a column. From one
    number ordered thresholds are taken, which are learned: (B, how many), where there are such. Columns
    that are `factored` are too many to be computed at once.
    """

    outputs: int | None = None
    shift: Numbers = 0.0
    scale: Numbers = 1.0
    thresholds: tuple[float, ...] = ()
    factored: bool = False


class OnTrain(Protocol):
    """A task on the train rows: what it counts there, and what its head keeps of them."""

    @property
    def mean(self) -> Numbers: ...

    @property
    def std(self) -> Numbers: ...

    @property
    def kept(self) -> "DurationGroups | None": ...


class Head(ABC):
    """One task's. A raw output, a target and a score have a row each; (N,), or (N, C) with columns.

    `kept` is what it has learned of train rows, where it keeps more of them than a tower's start. It is
    a module of the model: it lies where the model does, and is saved with its weights.
    """

    wanted: ClassVar[str] = "numbers"  # what there must be among its labels on train
    says: ClassVar[str] = "Expected"  # what its score is of its label
    formula: ClassVar[str] = "E[{}]"  # the same in signs
    calibrated: ClassVar[bool] = False  # whether its score is the probability that its label is 1
    within: ClassVar[tuple[str, ...]] = ()  # metrics of the order within users or requests

    def __init__(
        self, task: Task, loss: LossConfig | None = None, kept: "DurationGroups | None" = None
    ) -> None:
        self.task, self.loss, self.kept = task, loss, kept

    @property
    @abstractmethod
    def headline(self) -> str:
        """The metric that it is judged by, with an interval."""

    @property
    @abstractmethod
    def beside(self) -> tuple[str, ...]:
        """Further metrics that a report shows."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that it defines, where the rows do: the headline first."""
        return (self.headline, *self.beside)

    @property
    def columns(self) -> int | None:
        """How many numbers its score has; None is one, (N,)."""
        return None

    @property
    def domain(self) -> Domain:
        """What its labels in the log may be."""
        return Domain()

    def label(self, labels: Mapping[str, Any]) -> Any:
        """What happened, NaN where that is not known; from columns (N,) of numpy or of torch.

        (N,) of the one label that a task names, (N, C) of a list of labels.
        """
        columns = [labels[name] for name in self.task.labels]
        return columns[0] if isinstance(self.task.label, str) else _side_by_side(columns)

    def known(self, label: Any) -> Any:
        """The rows (N,) whose label says something, in one column at least."""
        known = label == label  # NaN is unlike itself, in numpy and in torch
        return known if known.ndim == 1 else known.any(1)

    def target(self, label: Any, batch: Batch | None = None) -> Any:
        """What its raw output is held to; the batch is that of the rows."""
        return label

    def counted(self, target: np.ndarray) -> np.ndarray:
        """What statistics on train are of, (N,) or (N, C): the target, where that is a number."""
        return target

    def keep(self, layout: Layout) -> "DurationGroups | None":
        """What it is to keep of train rows, which has not learned yet; None where that is nothing."""
        return None

    def summed(self, target: np.ndarray, about: Any = None) -> tuple[Any, Any]:
        """Of what is counted how much is known, and Σ of it; with `about`, Σ (it − about)². By column."""
        counted = self.counted(target)
        value = counted if about is None else (counted - about) ** 2
        return np.count_nonzero(counted == counted, axis=0), np.nansum(value, axis=0)

    def nothing(self, mean: Numbers, std: Numbers) -> str | None:
        """What its label is on all train rows, where nothing can be learned of that; else None."""
        return None

    @abstractmethod
    def start(self, mean: Numbers = 0.5, std: Numbers = 1.0) -> Start:
        """Of a fresh tower, from the mean and standard deviation on train of what is counted."""

    @abstractmethod
    def score(self, raw: Any, batch: Batch | None = None) -> Any:
        """Raw output → score, tensors; the batch is that of the rows."""

    def steady(self, score: np.ndarray) -> np.ndarray:
        """What of a score is the same on every processor, but for rounding."""
        return score

    @abstractmethod
    def measure(self, label: np.ndarray, score: np.ndarray) -> dict[str, float]:
        """Its metrics and counts on rows of its label space.

        What the rows do not define is absent, never NaN.
        """

    def measure_within(
        self, label: np.ndarray, score: np.ndarray, together: np.ndarray
    ) -> dict[str, float]:
        """Those of `within` on the same rows, `together` (N,) being the number of each one's request."""
        return {}

    @abstractmethod
    def drawn(self, label: np.ndarray, score: np.ndarray, code: np.ndarray) -> Weighted:
        """The headline over rows whose group (N,) is drawn so many times (a measure)."""


def spread(value: Numbers, columns: int | None) -> Numbers:
    """One number as it is, or the same in each of so many columns."""
    return (value,) * columns if columns and isinstance(value, float) else value


def _side_by_side(columns: Sequence[Any]) -> Any:
    """Columns (N,) → (N, C)."""
    if isinstance(columns[0], np.ndarray):
        return np.stack(columns, axis=1)
    import torch

    return torch.stack(list(columns), dim=1)
