"""A sweep in, the HTML of its report out: the winner, each task, curves, calibration, gates, models."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recmtl.evaluate.comparison import BEST, TIED, WORSE, Row, mean_of
from recmtl.evaluate.gates import gate_heat_map, gate_table
from recmtl.evaluate.sweep import RunHistory, Sweep
from recmtl.heads import head_of
from recmtl.learn.metrics import Part, averaged
from recmtl.page import Cell, Page, Tone, intervals, lines
from recmtl.schema import Task
from recmtl.schema.metrics import MACRO, MEANS, METRICS, shown

TONES: Mapping[str, Tone] = {BEST: "good", TIED: "even", WORSE: "bad"}
PARTS = {"valid": "Validation (chooses the champion)", "test": "Test (only reports)"}


def report_page(sweep: Sweep, calibration: Sequence[Mapping[str, Any]]) -> str:
    """The page as text; `calibration` is that of report.json."""
    page = Page(sweep.name, lead=_lead(sweep))
    page.warnings(sweep.warnings)
    _glance(page, sweep)
    for task in sweep.tasks:
        _task(page, sweep, task)
    _curves(page, sweep)
    _calibration(page, sweep, calibration)
    _gates(page, sweep)
    _drawings(page, sweep)
    return page.html()


def _lead(sweep: Sweep) -> str:
    runs = max(len(part.runs) for part in sweep.parts.values())
    size = f"{len(sweep.models)} models, {runs} runs, {len(sweep.tasks)} tasks."
    if sweep.champion is None:
        return size
    model, seed = sweep.champion
    metric, _, task = sweep.monitor.partition("_valid/")
    value = mean_of(metric, sweep.parts["valid"].comparison.values(metric, task)[model])
    return (
        f"Champion: {model} (seed {seed}), {shown(metric)} {value:.4f} "
        f"for {MEANS.get(task, task)} on validation. {size}"
    )


def _find(sweep: Sweep, part: Part, task: str) -> dict[str, Row]:
    """Model → its line of the per-task table."""
    table = sweep.parts[part].comparison.models
    return {line["model"]: line for line in table if line["task"] == task}


def _glance(page: Page, sweep: Sweep) -> None:
    page.heading("At a glance")
    winner = sweep.champion and sweep.champion[0]
    columns = ["model"]
    cells: dict[str, list[Cell | None]] = {
        model: [Cell(model, small="champion" if model == winner else "")] for model in sweep.models
    }
    for name, task in sweep.tasks.items():
        metric = head_of(task).headline
        for part in sweep.parts:
            columns.append(f"{name} {shown(metric)}, {part}")
            found = _find(sweep, part, name)
            for model, row in cells.items():
                row.append(_glance_cell(found.get(model), metric))
    for metric in averaged(sweep.tasks):
        for part, scores in sweep.parts.items():
            if runs := scores.comparison.values(metric, MACRO):
                columns.append(f"mean {shown(metric)}, {part}")
                for model, row in cells.items():
                    row.append(Cell(f"{mean_of(metric, runs[model]):.4f}") if model in runs else None)
    page.table(columns, list(cells.values()))
    page.note("Green: best on that task. Yellow: not distinguishable from the best, as the 95 % "
              "interval of the difference holds zero. Dash: the model neither trains nor derives it.")
    if any(line["seeds"] == 1 for part in sweep.parts.values() for line in part.comparison.models):
        page.note("Models that ran with one seed: their intervals cover the choice of rows, not that "
                  "of the seed.")
    for metric in dict.fromkeys(head_of(task).headline for task in sweep.tasks.values()):
        _interval_figure(page, sweep, metric)


def _glance_cell(line: Row | None, metric: str) -> Cell | None:
    value = _decimals(line[metric]) if line else None
    if line is None or value is None:
        return None
    return Cell(value, tone=TONES[line["verdict"]] if line["verdict"] in (BEST, TIED) else None)


def _interval_figure(page: Page, sweep: Sweep, metric: str) -> None:
    panels, best = {}, {}
    for name, task in sweep.tasks.items():
        found = _find(sweep, sweep.reported, name).items() if head_of(task).headline == metric else ()
        panel = {
            model: (line[metric], line[f"{metric}_low"], line[f"{metric}_high"])
            for model, line in found if line[metric] is not None
        }
        if panel:
            panels[name] = panel
            best[name] = next(line[metric] for _, line in found if line["verdict"] == BEST)
    if panels:
        page.figure(intervals(panels, shown(metric), best),
                    f"{shown(metric)} on {sweep.reported} with 95 % intervals; the line marks the "
                    "best. Models are measured on the same rows, so that even overlapping intervals "
                    "may differ: the tables below test the differences.")


def _task(page: Page, sweep: Sweep, name: str) -> None:
    task = sweep.tasks[name]
    page.heading(f"Task {name}")
    page.text(_meaning(task))
    head, own = head_of(task), [own.kind for own in sweep.metrics if own.measures(task)]
    measured = [line for part in sweep.parts for line in _find(sweep, part, name).values()]
    within = [m for m in head.within if any(line.get(m) is not None for line in measured)]
    metric, others = head.headline, [*head.beside, *within, *own]
    columns = ["model", "", shown(metric), "± seeds", "95 % interval", "difference",
               "its 95 % interval", "verdict", *map(shown, others)]
    for part in sweep.parts:
        found = _find(sweep, part, name)
        if not found:
            continue
        page.heading(PARTS[part] + " · " + _counts(next(iter(found.values()))), level=3)
        sign = 1 if METRICS[metric].lower else -1
        ordered = sorted(found.values(), key=lambda x: (x[metric] or 0.0) * sign)
        rows = [_judged(line, metric, others) for line in ordered]
        rows += [[m, *[None] * (len(columns) - 1)] for m in sweep.models if m not in found]
        page.table(columns, rows)


def _meaning(task: Task) -> str:
    what = f"{head_of(task).says} {', '.join(task.labels)}"
    if task.given is None:
        return f"{what}, on all rows."
    return f"{what} given {task.given}, measured on the rows where {task.given} is 1."


def _counts(line: Row) -> str:
    rows = f"{line['rows']:,.0f} rows"
    if line["base_rate"] is None:
        return rows
    return f"{rows}, {line['positives']:,.0f} positives, base rate {100 * line['base_rate']:.3g} %"


def _judged(line: Row, metric: str, others: Sequence[str]) -> list[object]:
    verdict = line["verdict"]
    best = verdict == BEST
    return [
        line["model"], Cell("", small=line["kind"]), _decimals(line[metric]),
        _decimals(line[f"{metric}_std"]), _range(line[f"{metric}_low"], line[f"{metric}_high"]),
        None if best else _signed(line["difference"]),
        None if best else _range(line["difference_low"], line["difference_high"], signed=True),
        Cell(verdict or "", tone=TONES.get(verdict)), *(_decimals(line[m]) for m in others),
    ]


def _decimals(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str | None:
    return None if value is None else f"{value:+.4f}".replace("-", "−")


def _range(low: float | None, high: float | None, signed: bool = False) -> str | None:
    if low is None or high is None:
        return None
    return f"{_signed(low)} to {_signed(high)}" if signed else f"{low:.4f} to {high:.4f}"


def _curves(page: Page, sweep: Sweep) -> None:
    first = _first(sweep)
    panels = {}
    for name, task in sweep.tasks.items():
        headline = head_of(task).headline
        metric = f"{headline}_valid/{name}"
        panel = {}
        for model in sweep.models:
            epochs = first[model].epochs if model in first else ()
            points = [(i, e[metric]) for i, e in enumerate(epochs, start=1) if metric in e]
            if points:
                panel[model] = ([p[0] for p in points], [p[1] for p in points])
        if panel:
            panels[f"{name} ({shown(headline)})"] = panel
    if panels:
        page.heading("Learning curves")
        page.figure(lines(panels, ("epoch", "on validation")), "Each model's first seed.")


def _calibration(page: Page, sweep: Sweep, found: Sequence[Mapping[str, Any]]) -> None:
    if not found:
        return
    page.heading("Calibration")
    panels: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for line in found:
        if line["bins"]:
            curve = ([b["score"] for b in line["bins"]], [b["rate"] for b in line["bins"]])
            panels.setdefault(line["task"], {})[line["model"]] = curve
    if panels:
        page.figure(lines(panels, ("mean score", "rate of positives"), diagonal=True),
                    f"On {sweep.reported}, each model's first seed, in bins of equally many rows. "
                    "On the dashed line scores are what they say.")
    errors = {(line["model"], line["task"]): line["error"] for line in found}
    page.heading("Expected calibration error", level=3)
    page.table(["model", *panels],
               [[m, *(_decimals(errors.get((m, t))) for t in panels)] for m in sweep.models])


def _gates(page: Page, sweep: Sweep) -> None:
    first = _first(sweep, lambda history: history.gates.get(sweep.reported))
    if not first:
        return
    page.heading("Gates")
    page.text("How much of each task's view comes from each expert: mean ± standard deviation over "
              "rows. Entropy is a part of its largest value, 1 where all experts count alike.")
    for model, history in first.items():
        gates = history.gates[sweep.reported]
        page.figure(gate_heat_map(gates, f"{model}, seed {history.seed}, {sweep.reported}"))
        table = gate_table(gates)
        page.table(list(table[0]), [
            [f"{v:.3f}" if isinstance(v, float) else v for v in line.values()] for line in table
        ])


def _drawings(page: Page, sweep: Sweep) -> None:
    first = _first(sweep, lambda history: history.drawing)
    if not first:
        return
    page.heading("Models")
    page.text("What leads to each task, with sizes and parameters: from features to tables, networks, "
              "gates and towers.")
    for model, history in first.items():
        page.drawing(history.drawing or "", f"{model}: from features to tasks")


def _first(
    sweep: Sweep, given: Callable[[RunHistory], object] = lambda history: True
) -> dict[str, RunHistory]:
    """Each model's first run that has what is asked for, in the order of models."""
    first = {h.model: h for h in reversed(sweep.histories) if given(h)}
    return {model: first[model] for model in sweep.models if model in first}
