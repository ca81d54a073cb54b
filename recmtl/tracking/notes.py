"""What MLflow's pages say in words: a run's description, an experiment's, and how to read both."""

from collections.abc import Mapping, Sequence
from typing import Any

from recmtl.evaluate.brief import by_task

NOTE = "mlflow.note.content"

EXPERIMENT = """Models for the same log and the same tasks, one run a model and seed.

- **Table icon** above the runs: `per_task.json` of the chosen runs side by side, a row a task.
- **Chart icon**: a section a metric, a chart a task. `auc_valid` follows the epochs;
  `kept_auc` (on valid) and `auc_test` are of the weights that were kept, drawn at their epoch.
- In a run, **Artifacts**: `report/report.html` compares all models; `gates/` shows which task leans
  on which expert; `model.svg` draws the model.
"""

# The kind opens the pages for training runs; without it MLflow opens those for language models.
EXPERIMENT_TAGS = {NOTE: EXPERIMENT, "mlflow.experimentKind": "custom_model_development"}


def run_note(report: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> str:
    """A run's description in Markdown: its result on each task, and what the figures mean."""
    winner = report["champion"]
    own = winner is not None and any(
        (line["model"], line["seed"]) == (winner["model"], winner["seed"]) for line in lines
    )
    results = "\n".join(f"- **{row['task']}** {row['result']}" for row in by_task(lines))
    told = [f"**Champion** by `{report['monitor']}`."] if own else []
    if winner is not None and not own:
        told = [f"Champion by `{report['monitor']}`: {winner['model']}, seed {winner['seed']}."]
    warnings = [f"Warning: {warning}" for warning in report["warnings"]]
    return "\n\n".join([*told, results, *warnings, _READ])


_READ = """In brackets the 95 % interval. Verdicts are against the best model on the same rows:
*tied with best* where the interval of the difference holds zero. PCOC is predicted over observed
positives, 1 is right. Kind *trained*: the task has a loss; *tower*: its tower learns through
another task's loss only; *derived*: computed from other tasks' scores. All models:
`report/report.html` among the artifacts."""
