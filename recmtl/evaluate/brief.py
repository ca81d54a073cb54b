"""Lines of report.json in, the short tables out that people read in MLflow and in Prefect."""

from collections.abc import Mapping, Sequence
from typing import Any

from recmtl.evaluate.comparison import WORSE, headline_of
from recmtl.schema.metrics import METRICS

Line = Mapping[str, Any]

UNBROKEN = "\N{NO-BREAK SPACE}"  # MLflow wraps a cell's text: a phrase a line is readable
_COUNTS = ("rows", "positives")


def by_task(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """A row a task of one run: `task`, `result` in words, `kind`, then each figure as NAME_PART.

    MLflow's compare view makes a row of each value of the first column, and shows the second.
    """
    tasks = dict.fromkeys(line["task"] for line in lines)
    rows = []
    for task in tasks:
        own = [line for line in lines if line["task"] == task]
        phrases = [phrase.replace(" ", UNBROKEN) for phrase in _told(own)]
        row = {"task": task, "result": "; ".join(phrases), "kind": own[0]["kind"]}
        for line in own:
            row |= {f"{name}_{line['part']}": value for name, value in _figures(line).items()}
        rows.append(row)
    return rows


def by_part(lines: Sequence[Line]) -> list[dict[str, str]]:
    """A row a line, ready to be read: part, task, model, the metrics, verdict and kind, as text."""
    beside = [m for m in METRICS if any(m in _beside(line) for line in lines)]
    return [
        {
            "part": line["part"], "task": line["task"], "model": line["model"],
            "metric": _value(line), "95 % interval": _interval(line) or "–",
            "verdict": _verdict(line) or "–", "kind": line["kind"],
            **{METRICS[m].shown: _short(line.get(m)) for m in beside},
        }
        for line in lines
    ]


def rounded(value: Any) -> Any:
    """Four significant digits: what a column of a table can show."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _told(lines: Sequence[Line]) -> list[str]:
    """Phrases of a result: each part's headline, then the other metrics of the last part."""
    told = []
    for line in lines:
        interval = _interval(line)
        value = _value(line) + (f" [{interval}]" if interval else "")
        told.append(", ".join(filter(None, (f"{line['part']} {value}", _verdict(line)))))
    others = [f"{METRICS[m].shown} {_short(lines[-1][m])}" for m in _beside(lines[-1])]
    return [*told, ", ".join(others)] if others else told


def _figures(line: Line) -> dict[str, Any]:
    """The verdict and the figures that the task has."""
    metric = headline_of(line)
    names = [f"{metric}{end}" for end in ("", "_low", "_high")]
    names += ["difference", *_beside(line), "base_rate"]
    numbers = {name: rounded(line[name]) for name in names if line.get(name) is not None}
    counts = {name: int(line[name]) for name in _COUNTS if line.get(name) is not None}
    return {"verdict": line.get("verdict"), **numbers, **counts}


def _beside(line: Line) -> list[str]:
    """The metrics that a line has beside its headline."""
    return [m for m in METRICS if line.get(m) is not None and m != headline_of(line)]


def _value(line: Line) -> str:
    metric = headline_of(line)
    return "–" if metric is None else f"{METRICS[metric].shown} {_short(line[metric])}"


def _interval(line: Line) -> str:
    low, high = (line.get(f"{headline_of(line)}_{end}") for end in ("low", "high"))
    return "" if low is None or high is None else f"{_short(low)} to {_short(high)}"


def _verdict(line: Line) -> str:
    verdict = line.get("verdict")
    if verdict == WORSE:
        return f"{verdict} by {abs(line['difference']):.4f}"
    return verdict or ""


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
