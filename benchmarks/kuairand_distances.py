"""Test AUC of every KuaiRand model (mean over seeds) and its distance to what a user would pick instead.

    python benchmarks/kuairand_distances.py [runs/kuairand]

Reads the report of a finished `make demo` on KuaiRand; prints a table in Markdown.
"""

import json
import sys
from pathlib import Path

TASKS = ("ctr", "ctcvr", "cvr")
# Test AUC on the same split: click, click and long view, long view given click.
OTHERS = {
    "floor": (0.722, 0.728, None),
    "quick trial": (0.727, 0.733, 0.640),
    "smoothed rates": (0.721, 0.727, 0.652),
    "LightGBM, columns": (0.709, 0.716, 0.639),
    "LightGBM, columns and rates": (0.741, 0.743, 0.660),
}


def main(run: Path) -> None:
    report = json.loads((run / "evaluation" / "report.json").read_text())
    lines = {(m["model"], m["task"]): m for m in report["models"] if m["part"] == "test"}
    models = list(dict.fromkeys(model for model, _ in lines))
    heads = ["model", *TASKS, *(f"− {name}" for name in OTHERS)]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for model in models:
        values = [lines[model, task]["auc"] for task in TASKS]
        found = [_with_interval(lines[model, task]) for task in TASKS]
        found += [" / ".join(_difference(*pair) for pair in zip(values, o, strict=True))
                  for o in OTHERS.values()]
        print(f"| {model} | " + " | ".join(found) + " |")


def _with_interval(line: dict[str, float]) -> str:
    return f"{line['auc']:.4f} ({line['auc_low']:.3f} … {line['auc_high']:.3f})"


def _difference(value: float, other: float | None) -> str:
    return "–" if other is None else f"{value - other:+.4f}"


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/kuairand"))
