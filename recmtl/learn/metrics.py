"""Labels and scores in, exact metrics out: each task on the rows of its own label space."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from recmtl.errors import RecmtlError, nearest
from recmtl.heads import head_of
from recmtl.learn.tasks import label_space
from recmtl.schema import Task
from recmtl.schema.metrics import AVERAGED, BY_ROWS, MACRO, MetricConfig

Part = Literal["valid", "test"]


def task_metrics(
    tasks: Mapping[str, Task],
    labels: Mapping[str, np.ndarray],
    scores: Mapping[str, np.ndarray],
    part: Part,
    own: Sequence[MetricConfig] = (),
    together: np.ndarray | None = None,
) -> dict[str, float]:
    """The metrics of every scored task, named like `auc_valid/ctcvr`, and their means over tasks.

    `own` are those of plug-ins.

    `labels` maps a label to (N,) float32 with NaN for null, `scores` a task to (N,) or (N, C). Those of
    the order within users or requests need `together`, the number of each row's (N,). Raises RecmtlError
    where a score is no finite number.
    """
    metrics: dict[str, float] = {}
    for name, score in scores.items():
        if name not in tasks:
            raise RecmtlError(f"scores for an unknown task {name!r}", fix=nearest(name, tasks))
        task, head = tasks[name], head_of(tasks[name])
        label, columns = head.label(labels), head.columns
        check_scores(name, score, (len(label), *([columns] if columns else [])))
        space = label_space(task, labels)
        measured = head.measure(label[space], score[space])
        if together is not None:
            measured |= head.measure_within(label[space], score[space], together[space])
        measured |= _measured(own, task, label[space], score[space])
        metrics |= {f"{metric}_{part}/{name}": value for metric, value in measured.items()}
    return metrics | _means(tasks, metrics, part)


def averaged(tasks: Mapping[str, Task]) -> dict[str, list[str]]:
    """Metric → the tasks that its means are over, two or more: those judged by it, or with accuracy."""
    found: dict[str, list[str]] = {}
    for name, task in tasks.items():
        head = head_of(task)
        for metric in dict.fromkeys((head.headline, "accuracy")):
            if metric in AVERAGED and metric in head.metrics:
                found.setdefault(metric, []).append(name)
    return {metric: names for metric, names in found.items() if len(names) > 1}


def _means(tasks: Mapping[str, Task], metrics: Mapping[str, float], part: Part) -> dict[str, float]:
    """`auc_valid/tasks.macro`, all tasks alike, and `auc_valid/tasks.weighted`, by their rows.

    Where one of the tasks lacks the metric there is none, so that means are always over the same tasks.
    """
    found: dict[str, float] = {}
    for metric, names in averaged(tasks).items():
        values = [metrics[own] for name in names if (own := f"{metric}_{part}/{name}") in metrics]
        if len(values) == len(names):
            rows = [metrics[f"rows_{part}/{name}"] for name in names]
            found[f"{metric}_{part}/{MACRO}"] = float(np.mean(values))
            found[f"{metric}_{part}/{BY_ROWS}"] = float(np.average(values, weights=rows))
    return found


def _measured(
    own: Sequence[MetricConfig], task: Task, label: np.ndarray, score: np.ndarray
) -> dict[str, float]:
    """Plug-ins' metrics of a task, where they are defined."""
    found: dict[str, float] = {}
    for metric in own if len(label) else ():
        if metric.measures(task):
            try:
                value = metric.measure(label.astype(np.float64), score.astype(np.float64))
            except Exception as error:  # whatever a plug-in's code does
                raise RecmtlError(
                    f"{type(error).__name__}: {error}", where=f"the plug-in's metric {metric.kind!r}"
                ) from error
            if value is not None and np.isfinite(value):
                found[metric.kind] = float(value)
    return found


def check_scores(task: str, score: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise RecmtlError unless `score` holds finite numbers for each row."""
    if score.shape != shape:
        raise RecmtlError("one score a row is needed", where=f"scores of {task!r}",
                          expected=str(shape), found=str(score.shape))
    bad = np.flatnonzero(~np.isfinite(score).reshape(len(score), -1).all(axis=1))
    if len(bad):
        raise RecmtlError(
            f"row {bad[0]} is {score[bad[0]]}, as are {len(bad) - 1} more of {len(score)}",
            where=f"scores of {task!r}", expected="finite numbers",
            fix="lower learning_rate, or look for extreme values among the numeric features",
        )
