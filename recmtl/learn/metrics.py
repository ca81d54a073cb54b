"""Labels and scores in, exact metrics out: each task on the rows of its own label space."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from recmtl.errors import RecmtlError, nearest
from recmtl.learn.tasks import label_space
from recmtl.schema import Task
from recmtl.schema.metrics import MetricConfig

Part = Literal["valid", "test"]

CLIP = float(np.finfo(np.float32).eps)  # scores are float32: 1 - eps is the last one below 1


def binary_metrics(label: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Metrics of probabilities `score` (N,) for `label` (N,) of 0 and 1.

    `auc`, `logloss` (nats a row), `pcoc` (Σ score / Σ label), `rows`, `positives`, `base_rate`.
    What the rows do not define is absent, never NaN: AUC needs both classes, PCOC a positive.
    """
    label = np.asarray(label, dtype=np.float64)
    rows, positives = len(label), float(label.sum())
    metrics = {"rows": float(rows), "positives": positives}
    if rows == 0:
        return metrics
    metrics["base_rate"] = positives / rows
    metrics["logloss"] = float(row_logloss(label, score).mean())
    if positives > 0:
        metrics["pcoc"] = float(np.sum(score, dtype=np.float64)) / positives
    if 0 < positives < rows:
        metrics["auc"] = auc(label, score)
    return metrics


def regression_metrics(label: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """`rmse`, `mae` (in the label's unit), `r2` (absent for a constant label) and `rows`; from (N,)."""
    label = np.asarray(label, dtype=np.float64)
    metrics = {"rows": float(len(label))}
    if len(label) == 0:
        return metrics
    error = np.asarray(score, dtype=np.float64) - label
    metrics["rmse"] = float(np.sqrt(np.mean(error**2)))
    metrics["mae"] = float(np.mean(np.abs(error)))
    total = float(np.sum((label - label.mean()) ** 2))
    if total > 0:
        metrics["r2"] = 1.0 - float(np.sum(error**2)) / total
    return metrics


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve by mid-ranks: P(score⁺ > score⁻) + ½ P(score⁺ = score⁻).

    Counted in whole numbers, so that it is exact for any rows and ties. Needs both classes.

    References: Hanley and McNeil, Radiology 143(1), 1982.
    """
    positive = np.asarray(label) > 0
    negatives = np.sort(np.asarray(score)[~positive])
    positives = np.asarray(score)[positive]
    below = np.searchsorted(negatives, positives, side="left").sum(dtype=np.int64)
    not_above = np.searchsorted(negatives, positives, side="right").sum(dtype=np.int64)
    return float(below + not_above) / (2.0 * len(negatives) * len(positives))


def row_logloss(label: np.ndarray, score: np.ndarray) -> np.ndarray:
    """−log p of what happened, a row, in nats (N,) float64; p is kept within [eps, 1 − eps]."""
    p = np.clip(np.asarray(score, dtype=np.float64), CLIP, 1.0 - CLIP)
    return -np.where(np.asarray(label) > 0, np.log(p), np.log1p(-p))


def task_metrics(
    tasks: Mapping[str, Task],
    labels: Mapping[str, np.ndarray],
    scores: Mapping[str, np.ndarray],
    part: Part,
    own: Sequence[MetricConfig] = (),
) -> dict[str, float]:
    """The metrics of every scored task, named like `auc_valid/ctcvr`; `own` are those of plug-ins.

    `labels` maps a label to (N,) float32 with NaN for null, `scores` a task to (N,). Raises
    RecmtlError where a score is no finite number.
    """
    metrics: dict[str, float] = {}
    for name, score in scores.items():
        if name not in tasks:
            raise RecmtlError(f"scores for an unknown task {name!r}", fix=nearest(name, tasks))
        task = tasks[name]
        check_scores(name, score, rows=len(labels[task.label]))
        space = label_space(task, labels)
        measure = binary_metrics if task.type == "binary" else regression_metrics
        measured = measure(labels[task.label][space], score[space])
        measured |= _measured(own, task, labels[task.label][space], score[space])
        metrics |= {f"{metric}_{part}/{name}": value for metric, value in measured.items()}
    return metrics


def _measured(
    own: Sequence[MetricConfig], task: Task, label: np.ndarray, score: np.ndarray
) -> dict[str, float]:
    """Plug-ins' metrics of a task, where they are defined."""
    found: dict[str, float] = {}
    for metric in own if len(label) else ():
        if metric.type == task.type:
            try:
                value = metric.measure(label.astype(np.float64), score.astype(np.float64))
            except Exception as error:  # whatever a plug-in's code does
                raise RecmtlError(
                    f"{type(error).__name__}: {error}", where=f"the plug-in's metric {metric.kind!r}"
                ) from error
            if value is not None and np.isfinite(value):
                found[metric.kind] = float(value)
    return found


def check_scores(task: str, score: np.ndarray, rows: int) -> None:
    """Raise RecmtlError unless `score` holds a finite number for each row."""
    if score.shape != (rows,):
        raise RecmtlError("one score a row is needed", where=f"scores of {task!r}",
                          expected=f"({rows},)", found=str(score.shape))
    bad = np.flatnonzero(~np.isfinite(score))
    if len(bad):
        raise RecmtlError(
            f"row {bad[0]} is {score[bad[0]]}, as are {len(bad) - 1} more of {rows}",
            where=f"scores of {task!r}", expected="finite numbers",
            fix="lower learning_rate, or look for extreme values among the numeric features",
        )
