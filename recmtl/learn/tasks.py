"""What a task is on data: its label space, and its statistics on train. Works on numpy and torch."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recmtl.errors import RecmtlError
from recmtl.schema import Task

BLOCK = 1 << 18  # rows: a log's labels may be larger than memory


@dataclass(frozen=True)
class TaskStatistics:
    """A task on the train rows: how much of them it uses, and its label there."""

    rows: int  # in the label space
    share: float  # weight of the label space / all rows
    mean: float  # of the label in the label space
    std: float


def label_space(task: Task, labels: Mapping[str, Any]) -> Any:
    """The rows that a task lives on, as booleans (N,): given is 1 and the label is not null (NaN)."""
    label = labels[task.label]
    known = label == label  # NaN is unlike itself, in numpy and in torch
    return known if task.given is None else known & (labels[task.given] == 1)


def statistics(
    tasks: Mapping[str, Task], labels: Mapping[str, np.ndarray], weight: np.ndarray
) -> dict[str, TaskStatistics]:
    """Each task's statistics from label columns (N,) and row weights (N,), read a block at a time.

    Raises RecmtlError for a task without rows, or a binary one whose label never changes.
    """
    return {name: _statistics(name, task, labels, weight) for name, task in tasks.items()}


def _statistics(
    name: str, task: Task, labels: Mapping[str, np.ndarray], weight: np.ndarray
) -> TaskStatistics:
    rows, total, weighed, low, high = 0, 0.0, 0.0, np.inf, -np.inf
    for label, weights in _blocks(task, labels, weight):
        rows, total = rows + label.size, total + float(label.sum())
        weighed += float(weights.sum(dtype=np.float64))
        low, high = label.min(initial=low), label.max(initial=high)
    if rows == 0 or (task.type == "binary" and low == high):
        raise RecmtlError(
            f"nothing to learn: its label space on train has {f'only {low:g}' if rows else 'no rows'}",
            where=f"task {name}", expected=f"0 and 1 in label {task.label!r}",
            fix="check the label's expression, `given` and the split",
        )
    if weighed == 0.0:
        raise RecmtlError(
            "nothing to learn: every row of its label space has weight 0", where=f"task {name}",
            fix="check the column that [data] weight names",
        )
    mean = total / rows
    squares = sum(float(((label - mean) ** 2).sum()) for label, _ in _blocks(task, labels, weight))
    return TaskStatistics(rows, weighed / len(weight), mean, math.sqrt(squares / rows) or 1.0)


def _blocks(
    task: Task, labels: Mapping[str, np.ndarray], weight: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Labels, as float64, and weights of the task's label space."""
    for start in range(0, len(weight), BLOCK):
        some = slice(start, start + BLOCK)
        block = {name: np.asarray(label[some]) for name, label in labels.items()}
        space = label_space(task, block)
        yield block[task.label][space].astype(np.float64), np.asarray(weight[some])[space]
