"""What a task is on data: its label space, and its statistics on train. Works on numpy and torch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recmtl.batch import Layout
from recmtl.errors import RecmtlError
from recmtl.heads import Head, Numbers, head_of
from recmtl.schema import Task

if TYPE_CHECKING:
    from recmtl.heads.duration_groups import DurationGroups

BLOCK = 1 << 18  # rows: a log's labels may be larger than memory


@dataclass(frozen=True)
class TaskStatistics:
    """A task on the train rows: how much of them it uses, and its target there, column by column."""

    rows: int  # in the label space
    share: float  # weight of the label space / all rows
    mean: Numbers  # of what its head counts in the label space
    std: Numbers
    kept: "DurationGroups | None" = None  # by its head: the model's own, so that it lies where that does

    def __hash__(self) -> int:
        """Quick, as what is made from it is kept by it: there may be a million classes."""
        return hash((self.rows, self.share))


def label_space(task: Task, labels: Mapping[str, Any]) -> Any:
    """The rows that a task lives on, as booleans (N,): given is 1 and the label is not null (NaN)."""
    head = head_of(task)
    known = head.known(head.label(labels))
    return known if task.given is None else known & (labels[task.given] == 1)


def statistics(
    tasks: Mapping[str, Task], labels: Mapping[str, np.ndarray], weight: np.ndarray
) -> dict[str, TaskStatistics]:
    """Each task's statistics from label columns (N,) and row weights (N,), read a block at a time.

    Raises RecmtlError for a task without rows, or one whose label gives nothing to learn.
    """
    return {name: _statistics(name, task, labels, weight) for name, task in tasks.items()}


def keep(
    known: Mapping[str, TaskStatistics], heads: Mapping[str, Head], labels: Mapping[str, np.ndarray],
    layout: Layout, dense: np.ndarray,
) -> dict[str, TaskStatistics]:
    """The same with what a model's heads keep of train rows; `dense` (N, D) is as in a batch."""
    found = dict(known)
    for name, head in heads.items():
        kept = head.keep(layout)
        if kept is not None:
            kept.learn(_blocks(head.task, labels, dense[:, kept.columns]))
            found[name] = replace(known[name], kept=kept)
    return found


def _statistics(
    name: str, task: Task, labels: Mapping[str, np.ndarray], weight: np.ndarray
) -> TaskStatistics:
    head, rows, total, known, weighed = head_of(task), 0, np.float64(0.0), np.int64(0), 0.0
    for target, weights in _blocks(task, labels, weight):
        counts, sums = head.summed(target)
        rows, known, total = rows + len(target), known + counts, total + sums
        weighed += float(weights.sum(dtype=np.float64))
    if rows == 0 or np.min(known) == 0:
        alone = f" with a {task.labels[int(np.argmin(known))]!r}" if rows else ""
        raise _nothing(name, task, f"no rows{alone}")
    mean = total / known
    squares = sum(head.summed(target, mean)[1] for target, _ in _blocks(task, labels, weight))
    spread = np.sqrt(squares / known)
    found = TaskStatistics(
        rows, weighed / len(weight), _numbers(mean), _numbers(np.where(spread == 0.0, 1.0, spread))
    )
    reason = head.nothing(found.mean, _numbers(spread))
    if reason:
        raise _nothing(name, task, reason)
    if weighed == 0.0:
        raise RecmtlError(
            "nothing to learn: every row of its label space has weight 0", where=f"task {name}",
            fix="check the column that [data] weight names, and half_life",
        )
    return found


def _nothing(name: str, task: Task, found: str) -> RecmtlError:
    return RecmtlError(
        f"nothing to learn: its label space on train has {found}", where=f"task {name}",
        expected=f"{head_of(task).wanted} in label {', '.join(map(repr, task.labels))}",
        fix="check the label's expression, `given` and the split",
    )


def _numbers(value: Any) -> Numbers:
    return tuple(value.tolist()) if value.ndim else float(value)


def _blocks(
    task: Task, labels: Mapping[str, np.ndarray], others: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The target of its type, as float64, and what `others` (N, …) has beside it, of its label space."""
    head = head_of(task)
    for start in range(0, len(others), BLOCK):
        some = slice(start, start + BLOCK)
        block = {name: np.asarray(label[some]) for name, label in labels.items()}
        space = label_space(task, block)
        target = head.target(head.label(block)[space].astype(np.float64))
        yield target, np.asarray(others[some])[space]
