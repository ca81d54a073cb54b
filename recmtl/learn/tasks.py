"""What a task is on data: its label space, and its statistics on train. Works on numpy and torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recmtl.errors import RecmtlError
from recmtl.schema import Task


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
    """Each task's statistics from label columns (N,) and row weights (N,).

    Raises RecmtlError for a task without rows, or a binary one whose label never changes.
    """
    found = {}
    for name, task in tasks.items():
        space = label_space(task, labels)
        label = np.asarray(labels[task.label])[space].astype(np.float64)
        if label.size == 0 or (task.type == "binary" and label.min() == label.max()):
            raise RecmtlError(
                "nothing to learn: its label space on train has "
                + (f"only {label[0]:g}" if label.size else "no rows"),
                where=f"task {name}", expected=f"0 and 1 in label {task.label!r}",
                fix="check the label's expression, `given` and the split",
            )
        share = float(np.asarray(weight)[space].sum(dtype=np.float64) / len(weight))
        if share == 0.0:
            raise RecmtlError(
                "nothing to learn: every row of its label space has weight 0", where=f"task {name}",
                fix="check the column that [data] weight names",
            )
        found[name] = TaskStatistics(
            rows=int(label.size),
            share=share,
            mean=float(label.mean()),
            std=float(label.std()) or 1.0,
        )
    return found
