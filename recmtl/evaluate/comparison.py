"""Scores of a sweep's runs in, the per-task table out: who is best, by how much, and is that noise.

The rows are drawn by group for all runs alike; where a model ran with several seeds, their spread
is added to the uncertainty of its mean. With one seed that spread is unknown and left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recmtl.errors import RecmtlError
from recmtl.evaluate.significance import Bootstrap, Estimate, estimate, paired_bootstrap
from recmtl.heads import head_of
from recmtl.learn.metrics import Part, averaged, task_metrics
from recmtl.learn.tasks import label_space
from recmtl.schema import Task
from recmtl.schema.metrics import COUNTS, MEANS, METRICS, MetricConfig, is_higher_better

Row = dict[str, Any]  # a line of a table: column → number, word or None

BEST, TIED, WORSE = "best", "tied with best", "worse"
NORMAL = 1.959964  # the .975 quantile of a normal


@dataclass(frozen=True)
class RunScores:
    """What one run gives for a part: task → "trained" | "tower" | "derived", and task → its scores."""

    model: str
    seed: int
    kinds: Mapping[str, str]
    scores: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Rows:
    """A part's labels, (N,) float32 with NaN for null, and the group of each row, if it has one.

    `together` (N,) is the number of each row's user or request, where [data] names such a column.
    """

    labels: Mapping[str, np.ndarray]
    group: np.ndarray | None = None
    together: np.ndarray | None = None


@dataclass(frozen=True)
class Comparison:
    """The per-task table of a part, a line a run and, with means over seeds, a line a model.

    Both have task, model, kind, every metric (None where it is not defined), `METRIC_low` and
    `METRIC_high` of the task's headline metric (that of its head), and `difference`,
    `difference_low`, `difference_high` to the best model and `verdict`: these four are the model's,
    over its seeds. A line of `runs` has `seed`; one of `models` has `seeds` and `METRIC_std` over
    them (None for one seed). `means` has a line a run and mean over tasks, in the place of a task: its
    metrics and `seed`, where the run scores every task that the mean is over.
    """

    part: Part
    runs: list[Row] = field(default_factory=list)
    models: list[Row] = field(default_factory=list)
    means: list[Row] = field(default_factory=list)

    def values(self, metric: str, task: str) -> dict[str, list[Row]]:
        """Model → the lines of its runs, of a task or a mean, that define the metric."""
        found: dict[str, list[Row]] = {}
        for line in self.means if task in MEANS else self.runs:
            if line["task"] == task and line.get(metric) is not None:
                found.setdefault(line["model"], []).append(line)
        return found


def headline_of(line: Mapping[str, Any]) -> str | None:
    """The metric that a line of a table is judged by; None where its rows do not define it."""
    return next((m for m in METRICS if f"{m}_low" in line and line.get(m) is not None), None)


def compare(
    tasks: Mapping[str, Task],
    rows: Rows,
    runs: Sequence[RunScores],
    part: Part,
    *,
    own: Sequence[MetricConfig] = (),
    replicates: int = 400,
) -> Comparison:
    """Measure every run on every task that it scores; `own` are metrics of plug-ins.

    Raises RecmtlError on a NaN score.
    """
    comparison = Comparison(part)
    measured = [task_metrics(tasks, rows.labels, run.scores, part, own, rows.together) for run in runs]
    metrics = (*METRICS, *COUNTS, *(metric.kind for metric in own))
    for name, task in tasks.items():
        scored = [i for i, run in enumerate(runs) if name in run.scores]
        lines = [_line(name, runs[i], measured[i], part, metrics) for i in scored]
        if lines:
            headline = head_of(task).headline
            defined = lines[0][headline] is not None
            scores = [runs[i].scores[name] for i in scored]
            boots = _bootstrap(task, rows, scores, replicates) if defined else None
            models = _judge(lines, boots, headline, metrics)
            comparison.runs.extend(lines)
            comparison.models.extend(models)
    for run, found in zip(runs, measured, strict=True):
        comparison.means.extend(_means_of(run, found, part, list(averaged(tasks))))
    return comparison


def champion(
    comparison: Comparison, monitor: str, own: Sequence[MetricConfig] = ()
) -> tuple[str, int]:
    """Model and seed of the winner by `monitor`, such as `auc_valid/ctcvr`; `own`: as in `compare`.

    The model with the best mean over seeds, and its best seed; equal values go to the first listed.
    Raises RecmtlError where no run has the metric.
    """
    column, _, task = monitor.partition(f"_{comparison.part}/")
    sign = 1.0 if is_higher_better(column, own) else -1.0

    runs = comparison.values(column, task)
    if not runs:
        raise RecmtlError(f"no run has {monitor}", where="train.monitor",
                          expected="rows that define it, and a model with the task")
    model = max(runs, key=lambda name: sign * mean_of(column, runs[name]))
    return model, max(runs[model], key=lambda line: sign * line[column])["seed"]


def mean_of(metric: str, lines: Sequence[Row]) -> float:
    """The mean over a model's seeds."""
    return float(np.mean([line[metric] for line in lines]))


def _line(
    task: str, run: RunScores, measured: Mapping[str, float], part: Part, names: Sequence[str]
) -> Row:
    metrics = {m: measured.get(f"{m}_{part}/{task}") for m in names}
    kind = run.kinds.get(task, "trained")
    return {"task": task, "model": run.model, "seed": run.seed, "kind": kind, **metrics}


def _means_of(
    run: RunScores, measured: Mapping[str, float], part: Part, names: Sequence[str]
) -> list[Row]:
    """A line a mean over tasks, where there is one."""
    lines = []
    for mean in MEANS:
        found = {m: measured[key] for m in names if (key := f"{m}_{part}/{mean}") in measured}
        if found:
            lines.append({"task": mean, "model": run.model, "seed": run.seed, **found})
    return lines


def _bootstrap(task: Task, rows: Rows, scores: Sequence[np.ndarray], replicates: int) -> Bootstrap:
    """Draws of the headline metric, runs named by their position."""
    head, space = head_of(task), label_space(task, rows.labels)
    return paired_bootstrap(
        head.label(rows.labels)[space], {str(i): score[space] for i, score in enumerate(scores)},
        None if rows.group is None else rows.group[space],
        measure=head.drawn, replicates=replicates,
    )


def _judge(
    lines: list[Row], boots: Bootstrap | None, metric: str, names: Sequence[str]
) -> list[Row]:
    """Add intervals and verdicts to the lines of one task's runs; return a line a model."""
    seeds: dict[str, list[int]] = {}
    for i, line in enumerate(lines):
        seeds.setdefault(line["model"], []).append(i)
    models = [_mean([lines[i] for i in own], metric, names) for own in seeds.values()]
    for line in (*lines, *models):
        line.update(dict.fromkeys((*_JUDGED, f"{metric}_low", f"{metric}_high")))
    if boots is None:
        return models
    for i, line in enumerate(lines):
        line.update(_interval(metric, boots.estimate(str(i))))
    best = (min if METRICS[metric].lower else max)(models, key=lambda m: m[metric])
    for model in models:
        own = seeds[model["model"]]
        mean = _widened(estimate(*_means(boots, own)), _seed_variance(boots, own))
        model.update(_interval(metric, mean))
        judged = _against(boots, own, seeds[best["model"]], model is best)
        for line in (model, *(lines[i] for i in own)):
            line.update(judged)
    return models


_JUDGED = ("difference", "difference_low", "difference_high", "verdict")


def _against(boots: Bootstrap, own: list[int], best: list[int], is_best: bool) -> Row:
    if is_best:
        return dict(zip(_JUDGED, (0.0, 0.0, 0.0, BEST), strict=True))
    a, b = _means(boots, own), _means(boots, best)
    variance = _seed_variance(boots, own) + _seed_variance(boots, best)
    found = _widened(estimate(a[0] - b[0], a[1] - b[1]), variance)
    verdict = TIED if found.low <= 0 <= found.high else WORSE
    return dict(zip(_JUDGED, (found.value, found.low, found.high, verdict), strict=True))


def _means(boots: Bootstrap, own: list[int]) -> tuple[float, np.ndarray]:
    """The mean over a model's seeds: of the values, and of every draw (R,)."""
    values = [boots.value[str(i)] for i in own]
    return float(np.mean(values)), np.mean([boots.draws[str(i)] for i in own], axis=0)


def _seed_variance(boots: Bootstrap, own: list[int]) -> float:
    """The variance of a model's mean that comes from its seeds; 0 where one seed cannot tell."""
    values = [boots.value[str(i)] for i in own]
    return float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0


def _widened(found: Estimate, variance: float) -> Estimate:
    """The estimate with a second, independent source of variance added, as for a normal."""
    if variance == 0.0:
        return found
    se = float(np.hypot(found.se, np.sqrt(variance)))
    return Estimate(found.value, se, found.value - NORMAL * se, found.value + NORMAL * se)


def _interval(metric: str, found: Estimate) -> Row:
    return {f"{metric}_low": found.low, f"{metric}_high": found.high}


def _mean(lines: list[Row], metric: str, names: Sequence[str]) -> Row:
    """One line for a model's runs on a task."""
    mean: Row = {k: lines[0][k] for k in ("task", "model", "kind")} | {"seeds": len(lines)}
    for column in names:
        values = [line[column] for line in lines if line[column] is not None]
        mean[column] = float(np.mean(values)) if values else None
    values = [line[metric] for line in lines if line[metric] is not None]
    mean[f"{metric}_std"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return mean
