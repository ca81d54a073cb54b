"""Finished run folders in, a `Sweep` out: every run's scores on the same rows, compared."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from recmtl.data.shards import Shards
from recmtl.evaluate.comparison import Rows, RunScores, compare
from recmtl.evaluate.sweep import PartScores, RunHistory, Sweep
from recmtl.experiment import Experiment
from recmtl.folder import read_manifest
from recmtl.learn.gates import GateSummary
from recmtl.learn.metrics import Part
from recmtl.run import DRAWING, Prepared, Run, load_scores

Folders = Mapping[Part, Sequence[Path]]  # part → the folder of each run's scores on it


def gather(experiment: Experiment, runs: Sequence[Run], prepared: Prepared, folders: Folders) -> Sweep:
    """Read the scores of `runs` from `folders` (in the order of the runs) and compare them."""
    return Sweep(
        name=experiment.name,
        tasks=experiment.tasks,
        monitor=experiment.train.monitor,
        metrics=experiment.train.metrics,
        parts={
            part: _part(experiment, runs, prepared.shards / part, part, where)
            for part, where in folders.items()
        },
        histories=[
            RunHistory(
                run.model, run.seed,
                epochs=[epoch["metrics"] for epoch in read_manifest(run.folder)["epochs"]],
                gates={part: _gates(where[i], part) for part, where in folders.items()},
                drawing=_drawing(run),
            )
            for i, run in enumerate(runs)
        ],
    )


def _part(
    experiment: Experiment, runs: Sequence[Run], shards: Path, part: Part, folders: Sequence[Path]
) -> PartScores:
    opened = Shards.open(shards)
    group = experiment.data.group
    rows = Rows(
        {label: np.asarray(opened.labels(label)) for label in opened.layout.labels},
        opened.keys()[group].to_numpy(zero_copy_only=False) if group else None,
        opened.together,
    )
    scores = [
        RunScores(
            run.model, run.seed, experiment.models[run.model].reports(experiment.tasks),
            load_scores(folder, part),
        )
        for run, folder in zip(runs, folders, strict=True)
    ]
    compared = compare(experiment.tasks, rows, scores, part, own=experiment.train.metrics)
    return PartScores(rows, scores, compared)


def _drawing(run: Run) -> str | None:
    """None of a run that an earlier version made."""
    file = run.folder / DRAWING
    return file.read_text() if file.exists() else None


def _gates(folder: Path, part: Part) -> dict[str, GateSummary]:
    content = json.loads((folder / f"{part}_gates.json").read_text())
    return {task: GateSummary.from_json(summary) for task, summary in content.items()}
