"""A sweep in, `report.html` for people and `report.json` for programs out."""

import json
from pathlib import Path
from typing import Any

from recmtl.evaluate.calibration import calibration_error, reliability
from recmtl.evaluate.report_page import report_page
from recmtl.evaluate.sweep import Sweep
from recmtl.folder import write_file
from recmtl.heads import head_of
from recmtl.learn.tasks import label_space


def write_report(folder: Path, sweep: Sweep) -> dict[str, Any]:
    """Write both files into `folder`; returns what report.json holds."""
    content = report_content(sweep)
    write_file(folder / "report.json", json.dumps(content, indent=1, ensure_ascii=False))
    write_file(folder / "report.html", report_page(sweep, content["calibration"]))
    return content


def report_content(sweep: Sweep) -> dict[str, Any]:
    """`runs` and `models` are the per-task tables with a column `part`; undefined metrics are null.

    `means` are those over tasks, of each run.
    """
    winner = sweep.champion
    comparisons = {part: scores.comparison for part, scores in sweep.parts.items()}
    return {
        "name": sweep.name,
        "monitor": sweep.monitor,
        "champion": winner and {"model": winner[0], "seed": winner[1]},
        "runs": [{"part": p, **line} for p, c in comparisons.items() for line in c.runs],
        "models": [{"part": p, **line} for p, c in comparisons.items() for line in c.models],
        "means": [{"part": p, **line} for p, c in comparisons.items() for line in c.means],
        "epochs": [
            {"model": h.model, "seed": h.seed, "epoch": i, **metrics}
            for h in sweep.histories for i, metrics in enumerate(h.epochs, start=1)
        ],
        "calibration": _calibration(sweep),
        "gates": [
            {"model": h.model, "seed": h.seed, "part": part, "task": task, **summary.to_json()}
            for h in sweep.histories for part, gates in h.gates.items()
            for task, summary in gates.items()
        ],
        "warnings": sweep.warnings,
    }


def _calibration(sweep: Sweep) -> list[dict[str, Any]]:
    """Reliability bins of each model's first run on the reported part, where a score is a probability."""
    rows, found = sweep.parts[sweep.reported].rows, []
    for run in sweep.first_runs:
        for name, score in run.scores.items():
            task = sweep.tasks[name]
            if not head_of(task).calibrated:
                continue
            space = label_space(task, rows.labels)
            bins = reliability(head_of(task).label(rows.labels)[space], score[space])
            found.append({
                "model": run.model, "seed": run.seed, "task": name, "part": sweep.reported,
                "error": calibration_error(bins), "bins": [vars(b) for b in bins],
            })
    return found
