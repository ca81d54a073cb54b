"""What of a run goes to MLflow: its configuration, epochs, tables, figures and bundle."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recmtl.errors import RecmtlError
from recmtl.evaluate.brief import by_task, rounded
from recmtl.evaluate.comparison import headline_of
from recmtl.evaluate.gates import gate_table
from recmtl.folder import digest, read_manifest
from recmtl.learn.epoch import Epoch
from recmtl.learn.gates import GateSummary
from recmtl.run import DRAWING, Run
from recmtl.schema.metrics import MEANS, METRICS
from recmtl.tracking.client import TrackedRun, Tracker
from recmtl.tracking.notes import NOTE, run_note
from recmtl.tracking.registry import Version, log_model, promote, register

COUNTS = ("rows_", "positives_", "base_rate_")


def start(tracker: Tracker, run: Run, data: str) -> TrackedRun:
    """Open, or resume, the flat MLflow run of a run; the tag `recmtl.sweep` ties a comparison."""
    experiment, model = run.experiment, run.experiment.models[run.model]
    settings = {
        "model": model.model_dump(mode="json"),
        "train": experiment.train.model_dump(mode="json", exclude={"seeds"}),
        "embedding": experiment.embedding.model_dump(mode="json"),
    }
    tags = {
        "recmtl.sweep": digest([experiment.digest, data]), "recmtl.model": run.model,
        "recmtl.seed": run.seed, "recmtl.configuration": experiment.digest, "recmtl.data": data,
    }
    tracked = tracker.start(
        run.title, run.key(data), tags, {"seed": run.seed, **flatten(settings)}
    )
    tracked.dict(experiment.model_dump(mode="json"), "experiment.json")
    return tracked


@contextmanager
def listening(tracker: Tracker, run: Run, data: str) -> Iterator[Callable[[Epoch], None]]:
    """A function for `train_run` that sends each epoch; the run ends with the block, and its drawing."""
    with start(tracker, run, data) as tracked:
        yield lambda epoch: log_epoch(tracked, epoch)
        _log_drawing(tracked, run)


def log_epoch(tracked: TrackedRun, epoch: Epoch) -> None:
    """Metrics by task, gate entropies, and rates, at the epoch's number.

    Counts are the same at each epoch: they stand in `per_task.json`, not in a chart.
    """
    metrics = {name: v for name, v in epoch.metrics.items() if not name.startswith(COUNTS)}
    entropy = {f"gate_entropy_valid/{t}": s.entropy.normalised for t, s in epoch.gates.items()}
    perf = {f"perf/{name}": value for name, value in epoch.timings.items()}
    tracked.metrics({**metrics, **entropy, **perf}, epoch.number)


def log_evaluation(
    tracker: Tracker, runs: Sequence[Run], data: str, folder: Path
) -> dict[str, str | None]:
    """Add the comparison to each run: its table, test metrics, gate figures, and the report.

    Returns the page of each run, by "MODEL seed N".
    """
    report = json.loads((folder / "report.json").read_text())
    pages = {}
    for run in runs:
        lines, means = (
            [r for r in report.get(table, ()) if (r["model"], r["seed"]) == (run.model, run.seed)]
            for table in ("runs", "means")
        )
        with start(tracker, run, data) as tracked:
            own = [metric.kind for metric in run.experiment.train.metrics]
            tracked.metrics(_final_metrics([*lines, *means], own), _kept_epoch(run))
            tracked.table(by_task(lines), "per_task.json")
            tracked.tags({NOTE: run_note(report, lines)})
            tracked.artifact(folder / "report.html", "report")
            _log_gates(tracked, run, folder)
            _log_drawing(tracked, run)
        pages[run.title] = tracked.url
    return pages


def promote_run(tracker: Tracker, run: Run, data: str) -> Version:
    """Log the run's bundle, register it under the experiment's name, and make it the champion."""
    with start(tracker, run, data) as tracked:  # a failing registration is no failure of the run
        pass
    if tracked.run_id is None:
        raise RecmtlError(
            "MLflow cannot be reached, so nothing was registered", where=tracker.uri,
            fix="start the server and run this step again; the spool sends what is missing",
        )
    uri = log_model(tracked.run_id, run.bundle, run.model)
    version = register(uri, run.experiment.name, {"recmtl.model": run.model, "recmtl.data": data})
    promote(version)
    return version


def _final_metrics(lines: list[dict[str, Any]], own: Sequence[str]) -> dict[str, float]:
    """Of the kept weights: all on test; on valid headlines and means, whose curves end elsewhere."""
    found: dict[str, float] = {}
    for line in lines:
        form, wanted = "{}_test/{}", [*METRICS, *own]
        if line["part"] == "valid":
            form = "kept_{}/{}"
            wanted = wanted if line["task"] in MEANS else [m for m in [headline_of(line)] if m]
        found |= {
            form.format(metric, line["task"]): float(f"{line[metric]:.6g}")
            for metric in wanted if line.get(metric) is not None
        }
    return found


def _kept_epoch(run: Run) -> int:
    """The number of the epoch whose weights the bundle holds."""
    epochs = read_manifest(run.folder)["epochs"]
    return int(max(epoch["number"] for epoch in epochs if epoch["best"]))


def _log_gates(tracked: TrackedRun, run: Run, folder: Path) -> None:
    """A heat map a part, and the same figures as a table."""
    scored = folder / "scores" / run.model / f"seed-{run.seed}"
    rows: list[dict[str, Any]] = []
    for part, where in (("valid", run.folder), ("test", scored)):
        file = where / f"{part}_gates.json"
        content = json.loads(file.read_text()) if file.exists() else {}
        gates = {task: GateSummary.from_json(summary) for task, summary in content.items()}
        if gates:
            tracked.artifact(where / f"{part}_gates.png", "gates")
            rows += [_gate_line(part, line) for line in gate_table(gates)]
    if rows:
        tracked.table(rows, "gates.json")


def _log_drawing(tracked: TrackedRun, run: Run) -> None:
    """Of a run that was trained; again with an evaluation, as training may not have been tracked."""
    if (run.folder / DRAWING).exists():
        tracked.artifact(run.folder / DRAWING)


def _gate_line(part: str, line: Mapping[str, Any]) -> dict[str, Any]:
    """The first column tells a row from all others, the second is what one compares."""
    gate = f"{line['task']}, expert {line['expert']}, {part}"
    figures = {k: rounded(v) for k, v in line.items() if k not in ("task", "expert")}
    return {"gate": gate, **figures, **{k: line[k] for k in ("task", "expert")}, "part": part}


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """{"a": {"b": 1}} → {"a.b": 1}: what MLflow shows as parameters."""
    flat: dict[str, object] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        elif value is not None:
            flat[prefix + name] = value
    return flat
