"""Eight multi-class heads of which each row has one label: fixed weights, tuned, and weights that move.

    python -m benchmarks.studies.eight_heads [--rows 40000] [--seeds 5] [--out runs/study-eight-heads]

A log a seed (heads_world.py). A head starts from the weight (its share of rows)^p; each way gets the same
five p, is given its best on the valid part of one log, and is measured on the test parts of others. What
is best depends on what is asked for, so that both are done: the least mean of the heads' log losses, and
the least log loss a row. Tables go to standard output, the figure to docs/images.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.studies.heads_world import QUESTIONS, World, write_log
from benchmarks.studies.results import IMAGES, keep, student, table, told
from recmtl import pipeline
from recmtl.current import open_prepared
from recmtl.data.loader import Loader
from recmtl.data.shards import Shards
from recmtl.evaluate.significance import Estimate
from recmtl.experiment import Experiment
from recmtl.learn.fit import Parts, fit
from recmtl.learn.metrics import Part, task_metrics
from recmtl.learn.predict import predict
from recmtl.learn.resume import Checkpoints
from recmtl.learn.step import Objective
from recmtl.learn.tasks import statistics
from recmtl.model.multitask import build_model
from recmtl.page import intervals, save_figure
from recmtl.seed import seed_everything

POWERS = (0.0, 0.5, 1.0, 1.5, 2.0)  # at 0 heads count alike, at 1 rows do
WAYS: Mapping[str, Mapping[str, Any]] = {
    "fixed": {},
    **{kind: {"weighting": {"kind": kind}} for kind in ("uncertainty", "dwa", "famo", "gradnorm")},
    # Rows of one label have one gradient each at what was embedded: nothing conflicts there.
    "pcgrad": {"weighting": {"kind": "pcgrad", "on": "parameters"}},
}
UNTUNED, ALONE, TRUTH = "fixed, p = 0", "alone", "truth"
CHOOSING = 1000
AT_ONCE = 1 << 13  # rows, where none is learned from
EPOCHS, BATCH, HIDDEN = 10, 2048, [32]
AIMS = ("heads", "rows")  # means over heads, and over rows: by the share that a head has of them
Metrics = Mapping[str, float]  # as of `task_metrics`
Measured = dict[str, float]  # "logloss of heads", …
ByAim = dict[str, Measured]  # the aim by which an epoch was chosen → what it measures


def named(way: str, power: float) -> str:
    return f"{way}_{power:g}"


def weights(power: float) -> dict[str, float]:
    """A head's weight is its share of rows to this power, over the mean of all."""
    raw = {name: question.share**power for name, question in QUESTIONS.items()}
    return {name: float(weight / np.mean([*raw.values()])) for name, weight in raw.items()}


def experiment(log: Path) -> Experiment:
    """A model a way and power on one shared bottom, and tasks alone."""
    towers: dict[str, Any] = {"towers": {"hidden": []}}
    models: dict[str, Any] = {
        named(way, power): {"sharing": {"kind": "shared_bottom", "hidden": HIDDEN}, **towers, **options,
                            "loss": weights(power)}
        for way, options in WAYS.items() for power in POWERS
    }
    models[ALONE] = {"sharing": {"kind": "single", "hidden": HIDDEN}, **towers, "loss": weights(0.0)}
    return Experiment.parse({
        "name": "eight_heads",
        "data": {"impressions": {"path": str(log)}, "keys": ["user", "item"],
                 "split": {"hash": ["row"], "valid": 0.2, "test": 0.2}},
        "labels": {name: name for name in QUESTIONS},
        "features": {name: {"kind": "categorical", "width": 8} for name in ("user", "item")},
        "tasks": {name: {"label": name, "type": "multiclass", "classes": question.classes}
                  for name, question in QUESTIONS.items()},
        "models": models,
        "train": {"epochs": EPOCHS, "patience": EPOCHS, "batch_size": BATCH,
                  "learning_rate": 0.01, "table_learning_rate": 0.1, "monitor": "logloss_valid/a"},
    }, Path.cwd())


def means(metrics: Metrics, part: Part) -> Measured:
    """Log loss and accuracy over the heads, and over rows: each head by its number of them."""
    rows = [metrics[f"rows_{part}/{name}"] for name in QUESTIONS]
    return {
        f"{measure} of {aim}": float(np.average(
            [metrics[f"{measure}_{part}/{name}"] for name in QUESTIONS],
            weights=None if aim == "heads" else rows,
        ))
        for measure in ("logloss", "accuracy") for aim in AIMS
    }


def best(epochs: Sequence[tuple[Metrics, Metrics]], loss: str) -> Metrics:
    """What was measured after the epoch with the least such loss on valid."""
    return min(epochs, key=lambda epoch: epoch[0][loss])[1]


@dataclass(frozen=True)
class Log:
    """The log of a seed, encoded, and what its models measure on one of its parts."""

    config: Experiment
    out: Path
    seed: int
    part: Part

    @classmethod
    def make(cls, out: Path, rows: int, seed: int, part: Part) -> "Log":
        config = experiment(write_log(out / "log", rows, seed))
        for step in (pipeline.ingest, pipeline.encode):
            step(config, out, pipeline.Options(track=False))
        return cls(config, out, seed, part)

    def shards(self, part: str) -> tuple[Shards, dict[str, np.ndarray]]:
        """A part's rows and labels."""
        shards = Shards.open(open_prepared(self.config, self.out).shards / part)
        return shards, {name: np.asarray(shards.labels(name)) for name in QUESTIONS}

    def metrics(self, scores: Mapping[str, np.ndarray]) -> Metrics:
        return task_metrics(self.config.tasks, self.shards(self.part)[1], scores, self.part)

    def epochs(self, name: str) -> Iterator[tuple[Metrics, Metrics]]:
        """Train a model: each epoch's metrics on valid, and on the part to be measured."""
        config, model = self.config, self.config.models[name]
        (train, labels), (valid, of_valid) = self.shards("train"), self.shards("valid")
        known = statistics(config.tasks, labels, train.weight)
        seed_everything(self.seed, "study model", model.sharing.kind)  # all ways start from one network
        network = build_model(model, config.embedding, train.layout, config.tasks, known)
        parts = Parts(Loader(train, BATCH, seed=self.seed), Loader(valid, AT_ONCE), of_valid)
        objective = Objective(config.tasks, model.loss, known, model.weighting)
        measured = Loader(self.shards(self.part)[0], AT_ONCE)
        checkpoints = Checkpoints(self.out / "fits" / name, name, config.train.checkpoint_steps)
        for epoch in fit(network, parts, objective, config.train, checkpoints):
            yield epoch.metrics, self.metrics(predict(network, measured).scores)

    def run(self, name: str) -> ByAim:
        """What is measured at the epoch with the least such log loss on valid.

        Each head of tasks alone has its own: it is a network of its own.
        """
        epochs = list(self.epochs(name))
        if name == ALONE:
            of_heads = {head: best(epochs, f"logloss_valid/{head}") for head in QUESTIONS}
            own = {key: value for head, metrics in of_heads.items() for key, value in metrics.items()
                   if key.endswith(f"/{head}")}
            return dict.fromkeys(AIMS, means(own, self.part))
        judged = [({**valid, **means(valid, "valid")}, measured) for valid, measured in epochs]
        return {aim: means(best(judged, f"logloss of {aim}"), self.part) for aim in AIMS}

    def truth(self) -> ByAim:
        """What the probabilities measure that the log was drawn from."""
        shards, world = self.shards(self.part)[0], World.make(self.seed)
        user, item = (shards.keys()[name].to_numpy() for name in ("user", "item"))
        scores = {name: world.probabilities(name, user, item) for name in QUESTIONS}
        return dict.fromkeys(AIMS, means(self.metrics(scores), self.part))


@dataclass(frozen=True)
class Found:
    """What a study found; `seconds` are the processor's, of a run of a way."""

    grid: Mapping[str, Sequence[ByAim]]  # way → by power, on valid of the log to choose by
    lines: dict[str, dict[str, list[Measured]]]  # aim → way → by seed, on test
    seconds: Mapping[str, float]

    def chosen(self, aim: str) -> dict[str, float]:
        """The power of each way."""
        return {way: POWERS[int(np.argmin([run[aim][f"logloss of {aim}"] for run in runs]))]
                for way, runs in self.grid.items()}

    def values(self, aim: str, way: str, measure: str) -> np.ndarray:
        """A value a seed (S,)."""
        return np.array([measured[f"{measure} of {aim}"] for measured in self.lines[aim][way]])

    def less(self, aim: str, way: str, base: str, measure: str = "logloss") -> Estimate:
        """A way's measure less that of another; paired by seed. Accuracy is in percent."""
        unit = 100 if measure == "accuracy" else 1
        return student(unit * (self.values(aim, way, measure) - self.values(aim, base, measure)))


def study(out: Path, rows: int, seeds: int, say: Callable[[str], None] = print) -> Found:
    start = time.process_time()
    log = Log.make(out / "choosing", rows, CHOOSING, "valid")
    grid, seconds = {}, {}
    for way in WAYS:
        begun = time.process_time()
        grid[way] = [log.run(named(way, power)) for power in POWERS]
        seconds[way] = (time.process_time() - begun) / len(POWERS)
        say(f"{way}: {seconds[way]:.1f} s a run")
    found = Found(grid, {aim: {} for aim in AIMS}, seconds)
    models = {aim: {way: named(way, power) for way, power in found.chosen(aim).items()} for aim in AIMS}
    for own in models.values():
        own |= {f"{way}, p = 0": named(way, 0.0) for way in WAYS}
        own |= {ALONE: ALONE, TRUTH: TRUTH}
    for seed in range(1, seeds + 1):
        log = Log.make(out / f"seed-{seed}", rows, seed, "test")
        runs = {TRUTH: log.truth()}
        for aim, own in models.items():
            for way, name in own.items():
                if name not in runs:
                    runs[name] = log.run(name)
                found.lines[aim].setdefault(way, []).append(runs[name][aim])
        say(f"seed {seed}: {time.process_time() - start:.0f} s so far")
    return found


def tables(found: Found) -> str:
    made = []
    for aim in AIMS:
        powers = [f"p = {power:g}" for power in POWERS]
        made.append(table(
            [f"log loss of {aim}, to choose by", *powers, "s a run"],
            ([way, *(f"{run[aim][f'logloss of {aim}']:.4f}" for run in runs), f"{found.seconds[way]:.1f}"]
             for way, runs in found.grid.items()),
        ))
        chosen = found.chosen(aim)
        made.append(table(
            ["way", "p", f"log loss of {aim}", f"accuracy of {aim}, %", "log loss less fixed, tuned",
             "accuracy less fixed, tuned", f"log loss less {UNTUNED}"],
            ([way, f"{chosen[way]:g}" if way in chosen else "",
              told(student(found.values(aim, way, "logloss"))),
              told(student(100 * found.values(aim, way, "accuracy")), 2),
              told(found.less(aim, way, "fixed"), signed=True),
              told(found.less(aim, way, "fixed", "accuracy"), 2, signed=True),
              told(found.less(aim, way, UNTUNED), signed=True)]
             for way in found.lines[aim]),
        ))
    return "\n\n".join(made)


def draw(found: Found) -> None:
    """A panel an aim: log loss of each way on a shared bottom less that of fixed weights, tuned."""
    panels = {}
    for aim in AIMS:
        ways = [way for way in found.lines[aim] if way not in ("fixed", ALONE, TRUTH)]
        estimates = {way: found.less(aim, way, "fixed") for way in ways}
        panels[f"over {aim}"] = {way: (e.value, e.low, e.high) for way, e in estimates.items()}
    figure = intervals(panels, "log loss less fixed weights', tuned", dict.fromkeys(panels, 0.0))
    save_figure(figure, IMAGES / "study-eight-heads.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/study-eight-heads"))
    chosen = parser.parse_args()
    found = study(chosen.out, chosen.rows, chosen.seeds)
    print(tables(found))
    draw(found)
    keep("study_eight_heads", asdict(found))


if __name__ == "__main__":
    main()
