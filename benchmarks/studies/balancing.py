"""Fixed weights between two tasks of unlike scale, tuned by a grid, beside weights that move themselves.

    RECMTL_DATA=… python -m benchmarks.studies.balancing [--seeds 5] [--out runs/study-balancing]

KuaiRand: whether an impression is clicked, and how many milliseconds it is played. Each way gets the same
grid of weights to start from, is given its best on 2 May with one seed, and is measured on 3 May with
others: the file's test day is not among the rows. Both beside networks and tables of a task's own, which
nothing has to balance. Tables go to standard output, the figure to docs/images.
"""

import argparse
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.studies.results import IMAGES, keep, student, table, told
from recmtl import pipeline
from recmtl.current import open_prepared
from recmtl.data.shards import Shards
from recmtl.demo import configuration
from recmtl.experiment import Experiment
from recmtl.learn.metrics import Part, task_metrics
from recmtl.page import intervals, save_figure
from recmtl.progress import SILENT
from recmtl.run import Prepared, Run, evaluate_run, load_scores, train_run

GRID = (0.03, 0.1, 0.3, 1.0, 3.0)  # weights of the regression; that of the click is 1
WAYS: Mapping[str, Mapping[str, Any]] = {
    "fixed": {},
    "uncertainty": {"weighting": {"kind": "uncertainty"}},
    "dwa": {"weighting": {"kind": "dwa"}},
}
ALONE = "alone"
CHOOSING = 1000
EPOCHS = 4
IDS = ("user_id", "video_id", "author_id", "music_id")  # with them a second epoch overfits
MEASURES = {"auc": "click", "logloss": "click", "rmse": "played"}
JUDGED = ("logloss", "rmse")  # the less the better
Measured = dict[str, float]


def experiment() -> Experiment:
    """configs/kuairand.toml without test day and ids, a model a way and weight on one shared bottom."""
    file = configuration("kuairand")
    content = tomllib.loads(file.read_text())
    content["data"]["impressions"]["where"] = "date < 20220504"
    content["data"]["split"] = {"valid": "2022-05-02", "test": "2022-05-03"}
    content["features"] = {n: f for n, f in content["features"].items() if n not in IDS}
    content["labels"] = {"clicked": "is_click", "milliseconds": "play_time_ms"}
    content["tasks"] = {"click": {"label": "clicked"},
                        "played": {"label": "milliseconds", "type": "regression"}}
    models = {
        named(way, weight): {"sharing": {"kind": "shared_bottom"},
                             "loss": {"click": 1.0, "played": weight}, **options}
        for way, options in WAYS.items() for weight in GRID
    }
    alone = {"sharing": {"kind": "single"}, "loss": {"click": 1.0, "played": 1.0}}
    content["models"] = {**models, ALONE: alone}
    content["train"] |= {"epochs": EPOCHS, "patience": EPOCHS, "table_learning_rate": 0.01,
                         "monitor": "logloss_valid/click"}
    return Experiment.parse(content, file.absolute().parent)


def named(way: str, weight: float) -> str:
    return f"{way}-{weight:g}"


def measured(run: Run, prepared: Prepared, part: Part) -> Measured:
    """A run's metrics on valid or test, trained and scored where that was not done before."""
    train_run(run, prepared, "cpu", lambda epoch: None)
    folder = run.folder
    if part == "test":
        folder = run.folder.with_name(f"{run.folder.name}-test")
        folder.mkdir(exist_ok=True)
        evaluate_run(run, prepared, "cpu", folder, SILENT)
    shards = Shards.open(prepared.shards / part)
    labels = {name: np.asarray(shards.labels(name)) for name in shards.layout.labels}
    found = task_metrics(run.experiment.tasks, labels, load_scores(folder, part), part)
    return {name: found[f"{name}_{part}/{task}"] for name, task in MEASURES.items()}


def gain(found: Measured, alone: Measured) -> float:
    """By how much the two losses are less than those of tasks alone, mean of both, as a part of these.

    Reference: Maninis et al., Attentive Single-Tasking of Multiple Tasks, CVPR 2019, Δ_m.
    """
    return float(np.mean([1 - found[name] / alone[name] for name in JUDGED]))


def study(out: Path, seeds: int) -> tuple[dict[str, list[float]], dict[str, list[Measured]]]:
    """The gains of each way over the grid when its weight was chosen; and a seed's measures a way."""
    config, options = experiment(), pipeline.Options(track=False)
    pipeline.ingest(config, out, options)
    pipeline.encode(config, out, options)
    prepared = open_prepared(config, out)

    def of(model: str, seed: int, part: Part) -> Measured:
        run = Run(config, model, seed, out / "models" / model / f"seed-{seed}")
        return measured(run, prepared, part)

    alone = of(ALONE, CHOOSING, "valid")
    grid = {way: [gain(of(named(way, w), CHOOSING, "valid"), alone) for w in GRID] for way in WAYS}
    chosen = {way: named(way, GRID[int(np.argmax(gains))]) for way, gains in grid.items()}
    chosen |= {f"{way}, 1": named(way, 1.0) for way in WAYS}
    chosen[ALONE] = ALONE
    return grid, {
        way: [of(model, seed, "test") for seed in range(1, seeds + 1)] for way, model in chosen.items()
    }


def gains(found: Mapping[str, list[Measured]], way: str) -> np.ndarray:
    return np.array([gain(*pair) for pair in zip(found[way], found[ALONE], strict=True)])


def tables(grid: Mapping[str, list[float]], found: Mapping[str, list[Measured]]) -> str:
    rows = [
        [way, *(told(student(np.array([m[name] for m in values])), digits) for name, digits in
                (("auc", 4), ("logloss", 4), ("rmse", 0))),
         told(student(100 * gains(found, way)), 2, signed=True),
         told(student(100 * (gains(found, way) - gains(found, "fixed"))), 2, signed=True)]
        for way, values in found.items()
    ]
    return "\n\n".join([
        table(["gain on 2 May, %", *(f"{weight:g}" for weight in GRID)],
              ([way, *(f"{100 * value:+.2f}" for value in values)] for way, values in grid.items())),
        table(["way, on 3 May", "click: AUC", "click: log loss", "played: RMSE, ms", "gain, %",
               "less fixed, tuned"], rows),
    ])


def draw(found: Mapping[str, list[Measured]]) -> None:
    panel = {}
    for way in found:
        if way != ALONE:
            estimate = student(100 * gains(found, way))
            panel[way] = (estimate.value, estimate.low, estimate.high)
    title = "gain over tasks alone"
    save_figure(intervals({title: panel}, "%", {title: 0.0}), IMAGES / "study-balancing.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/study-balancing"))
    chosen = parser.parse_args()
    grid, found = study(chosen.out, chosen.seeds)
    print(tables(grid, found))
    draw(found)
    keep("study_balancing", {"grid": grid, "measured": found})


if __name__ == "__main__":
    main()
