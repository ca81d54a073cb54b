"""The MMoE paper's two pairs of tasks on Census-Income: many seeds of each model after an equal search.

    RECMTL_DATA=… python -m benchmarks.studies.census [--seeds 20] [--test] [--quick] [--out FOLDER]

Group 1: income above 50,000 dollars and never married; group 2: education at college and never married.
None of the three is an input. Every model gets the same settings to choose from, on valid and with one
seed of its own; then so many seeds of its best, measured on valid and, with --test, on the test rows. A
run that is done is not done again: the command goes on where it was stopped. --quick is group 1 alone,
one setting and two seeds. Tables go to standard output, the figures to docs/images.

Reference: Ma et al., KDD 2018, which leaves the same columns out.
"""

import argparse
import itertools
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from benchmarks.studies.results import IMAGES, bootstrap, keep, table, told
from recmtl import pipeline
from recmtl.current import open_prepared
from recmtl.data.duck import connect
from recmtl.data.examples import Examples
from recmtl.data.selection import select
from recmtl.data.shards import Shards
from recmtl.demo import configuration
from recmtl.experiment import Experiment
from recmtl.heads.measures import auc
from recmtl.page import intervals, save_figure
from recmtl.progress import SILENT
from recmtl.run import Prepared, Run, evaluate_run, load_scores, train_run

COLLEGE = (
    "Associates degree-academic program", "Associates degree-occup /vocational",
    "Bachelors degree(BA AB BS)", "Masters degree(MA MS MEng MEd MSW MBA)",
    "Prof school degree (MD DDS DVM LLB JD)", "Doctorate degree(PhD EdD)",
)
GROUPS = {"group-1": {"income": "rich"}, "group-2": {"education": "college"}}
MARRIED = "never_married"
SHARINGS: Mapping[str, Mapping[str, Any]] = {
    "single": {"kind": "single"},
    "shared_bottom": {"kind": "shared_bottom"},
    "l2_constrained": {"kind": "soft_sharing", "distance": "l2"},
    "cross_stitch": {"kind": "cross_stitch"},
    "omoe": {"kind": "omoe", "experts": 4},
    "mmoe": {"kind": "mmoe", "experts": 4},
    "ple": {"kind": "ple", "experts": 1, "shared_experts": 2},
}
HIDDEN = ((64, 32), (128, 64))
RATES = (5e-4, 1e-3, 2e-3)
SETTINGS = tuple(itertools.product(HIDDEN, RATES))
QUICK = (4,)  # of them
ALONE = "single"
CHOOSING = 1000  # the seed that settings are chosen with


def experiment(group: str, setting: tuple[tuple[int, ...], float]) -> Experiment:
    """configs/census_income.toml with the group's tasks, all models, and a setting to choose from."""
    hidden, rate = setting
    file = configuration("census_income")
    content = tomllib.loads(file.read_text())
    college = ", ".join(f"'{level}'" for level in COLLEGE)
    content["labels"]["college"] = f"education in ({college})"
    tasks = {**GROUPS[group], MARRIED: MARRIED}
    content["tasks"] = {task: {"label": label} for task, label in tasks.items()}
    content["models"] = {
        name: {"sharing": {**sharing, "hidden": hidden}, "loss": dict.fromkeys(tasks, 1.0)}
        for name, sharing in SHARINGS.items()
    }
    content["train"] |= {"learning_rate": rate, "monitor": f"auc_valid/{next(iter(tasks))}"}
    return Experiment.parse(content, file.absolute().parent)


def prepare(group: str, out: Path) -> Prepared:
    """Examples and shards of a group; they do not depend on a setting."""
    config, options = experiment(group, SETTINGS[0]), pipeline.Options(track=False)
    pipeline.ingest(config, out, options)
    pipeline.encode(config, out, options)
    return open_prepared(config, out)


def trained(group: str, model: str, setting: int, seed: int, out: Path, prepared: Prepared) -> Run:
    folder = out / "models" / model / f"setting-{setting}" / f"seed-{seed}"
    run = Run(experiment(group, SETTINGS[setting]), model, seed, folder)
    train_run(run, prepared, "cpu", lambda epoch: None)
    return run


def aucs(run: Run, prepared: Prepared, part: str) -> dict[str, float]:
    """Each task's AUC on a part; test rows are scored where that was not done before."""
    folder = run.folder
    if part == "test":
        folder = run.folder.with_name(f"{run.folder.name}-test")
        if not folder.exists():
            folder.mkdir()
            evaluate_run(run, prepared, "cpu", folder, SILENT)
    shards = Shards.open(prepared.shards / part)
    label = labels(run.experiment)
    return {t: auc(shards.labels(label[t]), s) for t, s in load_scores(folder, part).items()}


def labels(config: Experiment) -> dict[str, str]:
    """Each task's label: these tasks have one."""
    return {name: label for name, task in config.tasks.items() for label in task.labels}


def search(group: str, model: str, settings: Sequence[int], out: Path, prepared: Prepared) -> int:
    """Of these settings the one with the best mean AUC of both tasks on valid."""
    runs = {i: trained(group, model, i, CHOOSING, out, prepared) for i in settings}
    found = {i: np.mean(list(aucs(run, prepared, "valid").values())) for i, run in runs.items()}
    return max(found, key=found.__getitem__)


def one_hot(prepared: Prepared, part: str, group: str) -> dict[str, float]:
    """AUC of a logistic regression a task on the same columns, each value a column of its own."""
    config, examples = experiment(group, SETTINGS[0]), Examples.open(prepared.examples)
    columns = list(config.features)
    train, measured = (_frame(config, examples, name, columns) for name in ("train", part))
    encoder = OneHotEncoder(handle_unknown="ignore", min_frequency=2).fit(train[columns])
    x, x_measured = encoder.transform(train[columns]), encoder.transform(measured[columns])
    found = {}
    for name, label in labels(config).items():
        fitted = LogisticRegression(C=0.5, max_iter=300).fit(x, train[label])
        found[name] = auc(measured[label].to_numpy(), fitted.decision_function(x_measured))
    return found


def _frame(config: Experiment, examples: Examples, part: str, columns: list[str]) -> pd.DataFrame:
    """The features as text, the labels as numbers."""
    wanted = list(labels(config).values())
    with connect() as connection:
        query = select(examples, config.data.split, part, [*columns, *wanted])
        rows: pa.Table = connection.sql(query).to_arrow_table()
    frame: pd.DataFrame = rows.to_pandas().astype(str)
    return frame.assign(**{label: rows[label].to_numpy() for label in wanted})


@dataclass(frozen=True)
class Found:
    """One model's AUC by part and task, (S,) over its seeds; its setting and the processor's seconds."""

    aucs: Mapping[str, Mapping[str, np.ndarray]]
    setting: int
    seconds: float


def study(
    group: str, out: Path, seeds: int, parts: Sequence[str], settings: Sequence[int]
) -> Iterator[tuple[str, Found]]:
    """Each model with what was found, as soon as it is."""
    prepared = prepare(group, out)
    for model in SHARINGS:
        start = time.process_time()
        setting = search(group, model, settings, out, prepared)
        runs = [trained(group, model, setting, seed, out, prepared) for seed in range(1, seeds + 1)]
        found = {part: [aucs(run, prepared, part) for run in runs] for part in parts}
        seconds = time.process_time() - start
        yield model, Found(
            {part: {task: np.array([own[task] for own in values]) for task in values[0]}
             for part, values in found.items()}, setting, seconds,
        )


def tables(found: Mapping[str, Found], base: Mapping[str, Mapping[str, float]]) -> str:
    """A table a part: a line a model, best and mean over seeds, and the mean less that of `single`."""
    made = []
    for part, regression in base.items():
        tasks = list(regression)
        drawn = {t: bootstrap({m: f.aucs[part][t] for m, f in found.items()}) for t in tasks}
        lines = [["logistic regression", *(f"{regression[t]:.4f}" if i == 0 else "" for t in tasks
                                           for i in range(3)), ""]]
        for model, own in found.items():
            cells = [
                (f"{own.aucs[part][t].max():.4f}", told(drawn[t].estimate(model)),
                 "" if model == ALONE else told(drawn[t].difference(model, ALONE), signed=True))
                for t in tasks
            ]
            hidden, rate = SETTINGS[own.setting]
            setting = f"{list(hidden)}, {rate:g}"
            lines.append([model, *(cell for three in cells for cell in three), setting])
        head = [f"{t}: {what}" for t in tasks for what in ("best", "mean", f"less {ALONE}")]
        made.append(table([f"AUC on {part}", *head, "setting"], lines))
    return "\n\n".join(made)


def draw(group: str, found: Mapping[str, Found], base: Mapping[str, float], part: str) -> None:
    """Every seed a dot, the mean of each model with its interval, and the regression a thin line."""
    panels, seeds = {}, {}
    for task in base:
        values = {model: own.aucs[part][task] for model, own in found.items()}
        drawn = bootstrap(values)
        panels[task] = {m: (e.value, e.low, e.high) for m in values for e in [drawn.estimate(m)]}
        seeds[task] = {model: own.tolist() for model, own in values.items()}
    save_figure(intervals(panels, f"AUC on {part}", base, seeds), IMAGES / f"study-census-{group}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("runs/study-census"))
    parser.add_argument("--test", action="store_true", help="read the test rows, too")
    parser.add_argument("--quick", action="store_true", help="to see that it works, and for how long")
    chosen = parser.parse_args()
    parts = ("valid", "test") if chosen.test else ("valid",)
    seeds, settings = (2, QUICK) if chosen.quick else (chosen.seeds, range(len(SETTINGS)))
    kept = {}
    for group in list(GROUPS)[: 1 if chosen.quick else None]:
        out, found = chosen.out / group, {}
        for model, own in study(group, out, seeds, parts, settings):
            found[model] = own
            print(f"{group}: {model}, {own.seconds:.0f} seconds of the processor", flush=True)
        base = {part: one_hot(open_prepared(experiment(group, SETTINGS[0]), out), part, group)
                for part in parts}
        print(f"\n{tables(found, base)}\n")
        draw(group, found, base[parts[-1]], parts[-1])
        kept[group] = {
            model: {part: {t: list(v) for t, v in tasks.items()} for part, tasks in own.aucs.items()}
            for model, own in found.items()
        }
    keep("study_census", {"seeds": seeds, **kept})


if __name__ == "__main__":
    main()
