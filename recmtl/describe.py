"""What a person reads in a terminal: a configuration as it was understood, and a report's table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recmtl.data.labels import parse
from recmtl.experiment import Experiment
from recmtl.plugins import needed
from recmtl.schema.features import columns_of, resolve_features


def describe(config: Path) -> str:
    """The file in words: sources, labels, features by kind, and what each model reports.

    Raises RecmtlError for what the file alone gives away: a wrong key or expression, a leak.
    """
    experiment = Experiment.read(config)
    _refuse_leaks(experiment)
    data = experiment.data
    lines = [f"{experiment.name} ({experiment.digest})"]
    lines += [f"  log       {experiment.path(path)}" for path in data.impressions.paths]
    lines += [f"  event     {n} of {e.of} by {', '.join(e.keys)} within {e.window}"
              for n, e in data.events.items()]
    lines += [
        f"  side      {experiment.path(j.path)} on {', '.join(j.keys)}"
        + (f", each row valid from {j.valid_from}" if j.valid_from else "") for j in data.joins
    ]
    lines += [f"  package   {package.told}" for package in needed(experiment)]
    lines += [f"  label     {name} = {text}" for name, text in experiment.labels.items()]
    kinds: dict[str, list[str]] = {}
    for name, feature in experiment.features.items():
        kinds.setdefault(feature.kind, []).append(name)
    lines += [f"  {kind:9} {', '.join(names)}" for kind, names in kinds.items()]
    rows = [
        [name, *(model.reports(experiment.tasks).get(task, "–") for task in experiment.tasks)]
        for name, model in experiment.models.items()
    ]
    return "\n".join([*lines, "", table(["model", *experiment.tasks], rows)])


def _refuse_leaks(experiment: Experiment) -> None:
    """Features named outright against labels and outcomes; patterns need the log's columns."""
    named = {n: f for n, f in experiment.features.items() if not any(sign in n for sign in "*?[")}
    inputs = {
        column: label
        for label, text in experiment.labels.items()
        for column in parse(f"labels.{label}", text).columns
    }
    columns = tuple(c for name, feature in named.items() for c in columns_of(name, feature))
    apart = tuple(c for c in columns if c not in experiment.labels)
    resolve_features(named, columns, experiment.forbidden(inputs, apart))


def per_task_text(report: dict[str, Any]) -> str:
    """A line a model and task of each part: the mean over seeds, its interval, and the verdict."""
    parts = dict.fromkeys(line["part"] for line in report["models"])
    blocks = []
    for part in parts:
        rows = [_line(line) for line in report["models"] if line["part"] == part]
        blocks.append(f"{part}\n" + table(["task", "model", "metric", "95 %", "kind", "verdict"], rows))
    winner = report["champion"]
    return "\n\n".join([*blocks, f"champion on valid: {winner['model']}, seed {winner['seed']}"])


def _line(line: dict[str, Any]) -> list[str]:
    metric = "auc" if line.get("auc") is not None else "rmse"
    value, low, high = (line.get(metric + end) for end in ("", "_low", "_high"))
    return [
        line["task"], line["model"],
        "–" if value is None else f"{metric} {value:.4f}",
        "–" if low is None else f"{low:.4f} … {high:.4f}",
        line["kind"], line["verdict"] or "–",
    ]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces."""
    widths = [max(len(str(row[i])) for row in [columns, *rows]) for i in range(len(columns))]
    return "\n".join(
        "  " + "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [columns, *rows]
    )
