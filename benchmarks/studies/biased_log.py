"""CVR over all impressions, by relation, on logs whose clicks select converters by a known amount.

    python -m benchmarks.studies.biased_log [--seeds 5] [--rows 40000] [--out runs/study-bias]
    RECMTL_DATA=… python -m benchmarks.studies.biased_log --kuairand [--seeds 5]

A log a strength and seed, the models of configs/relations.toml on each; their scores of the last day are
measured against the probabilities that the log was drawn from, those of unclicked impressions, too. With
--kuairand the same models on KuaiRand, on valid rows alone. Tables go to standard output, the figure to
docs/images.
"""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score

from benchmarks.studies.results import IMAGES, keep, student, table, told
from recmtl import pipeline
from recmtl.current import open_prepared
from recmtl.data.shards import Shards
from recmtl.data.synthetic import generate
from recmtl.demo import configuration
from recmtl.experiment import Experiment
from recmtl.page import intervals, save_figure
from recmtl.progress import SILENT
from recmtl.run import Run, evaluate_run, load_scores, train_run

BIASES = (0.0, 0.5, 1.0, 2.0)
BASE = {  # what each is compared with: conversions learned from clicked rows alone, on the same tables
    "division": "independent", "esmm": "independent", "escm2_ips": "independent",
    "escm2_dr": "independent", "esmm_ns": "independent_ns",
}
MODELS = ("independent", "independent_ns", *BASE)
MEASURES = ("KL all", "KL clicked", "AUC all", "AUC clicked", "level all", "level clicked")
DIFFERENCES = ("KL all", "KL clicked", "AUC all")
Measured = dict[str, dict[str, list[float]]]  # model → measure → a value a seed


def divergence(truth: np.ndarray, score: np.ndarray) -> float:
    """Mean Kullback–Leibler divergence of scores from true probabilities (N,), in nats a row."""
    p, q = (np.clip(v.astype(np.float64), 1e-7, 1 - 1e-7) for v in (truth, score))
    return float((p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean())


def expected_auc(truth: np.ndarray, score: np.ndarray) -> float:
    """The AUC over labels drawn from `truth`: each row is a positive of weight p, a negative of 1 − p."""
    labels = np.repeat([1, 0], len(truth))
    return float(roc_auc_score(labels, np.tile(score, 2), sample_weight=np.r_[truth, 1 - truth]))


def measure(truth: np.ndarray, click: np.ndarray, score: np.ndarray) -> dict[str, float]:
    """Scores against P(conversion | click) over all rows (N,), and over the clicked ones."""
    found = {}
    for name, rows in (("all", np.ones(len(click), bool)), ("clicked", click)):
        found[f"KL {name}"] = divergence(truth[rows], score[rows])
        found[f"AUC {name}"] = expected_auc(truth[rows], score[rows])
        found[f"level {name}"] = float(score[rows].mean() / truth[rows].mean())
    return found


def prepare(config: Experiment | Path, out: Path) -> None:
    options = pipeline.Options(track=False)
    pipeline.ingest(config, out, options)
    pipeline.encode(config, out, options)


def one_log(out: Path, rows: int, seed: int, bias: float) -> dict[str, dict[str, float]]:
    """The models of a seed on the log of that seed; also "truth", and what the log is like."""
    generate(out / "log", rows, seed, bias=bias)
    os.environ["RECMTL_SYNTHETIC"] = str((out / "log").absolute())
    config = configuration("relations")
    prepare(config, out)
    experiment = Experiment.read(config)
    prepared = open_prepared(experiment, out)
    test = Shards.open(out / "shards" / "test")
    truth, click = planted(out / "log", test), np.asarray(test.labels("clicked")) == 1
    found = {"truth": measure(truth, click, truth)}
    found["truth"]["selection"] = float(truth[click].mean() / truth.mean())
    for model in MODELS:
        run = Run(experiment, model, seed, out / "models" / model)
        train_run(run, prepared, "cpu", lambda epoch: None)
        (scored := out / "scores" / model).mkdir(parents=True, exist_ok=True)
        evaluate_run(run, prepared, "cpu", scored, SILENT)
        found[model] = measure(truth, click, load_scores(scored, "test")["cvr"])
    return found


def planted(log: Path, part: Shards) -> np.ndarray:
    """P(conversion | click) of a part's rows, by their ids, whether clicked or not."""
    truth = pq.read_table(log / "truth").sort_by("impression_id")
    places = np.searchsorted(truth["impression_id"].to_numpy(), part.keys()["impression_id"].to_numpy())
    probabilities: np.ndarray = truth["p_conversion_given_click"].to_numpy()[places]
    return probabilities


def study(out: Path, rows: int, seeds: int, say: Callable[[str], None] = print) -> dict[float, Measured]:
    """Every strength and seed; a strength's logs differ from another's of the same seed by it alone."""
    found: dict[float, Measured] = {}
    for bias in BIASES:
        measured: Measured = {}
        for seed in range(1, seeds + 1):
            folder = out / f"bias-{bias:g}" / f"seed-{seed}"
            for model, values in one_log(folder, rows, seed, bias).items():
                for name, value in values.items():
                    measured.setdefault(model, {}).setdefault(name, []).append(value)
            say(f"strength {bias:g}, seed {seed}: " + ", ".join(
                f"{model} {values['KL all'][-1]:.4f}" for model, values in measured.items()))
        found[bias] = measured
    return found


def less_base(measured: Measured, model: str, name: str) -> np.ndarray:
    """Per seed, a model's measure less that of its base."""
    less: np.ndarray = np.array(measured[model][name]) - np.array(measured[BASE[model]][name])
    return less


def tables(found: Mapping[float, Measured]) -> str:
    logs = [
        [f"{bias:g}", told(student(np.array(m["truth"]["selection"])), 3),
         *(f"{np.mean(m['truth'][name]):.4f}" for name in ("AUC all", "AUC clicked"))]
        for bias, m in found.items()
    ]
    means = [
        [f"{bias:g}", model, *(f"{np.mean(m[model][name]):.4f}" for name in MEASURES)]
        for bias, m in found.items() for model in MODELS
    ]
    differences = [
        [f"{bias:g}", f"{model} − {base}",
         *(told(student(less_base(m, model, name)), signed=True) for name in DIFFERENCES)]
        for bias, m in found.items() for model, base in BASE.items()
    ]
    return "\n\n".join([
        table(["strength", "mean CVR, clicked / all", "AUC of the truth, all", "clicked"], logs),
        table(["strength", "model", *MEASURES], means),
        table(["strength", "difference", *DIFFERENCES], differences),
    ])


def draw(found: Mapping[float, Measured]) -> None:
    """A panel a strength: KL over all impressions less that of the model's base."""
    panels = {}
    for bias, measured in found.items():
        estimates = {m: student(less_base(measured, m, "KL all")) for m in BASE}
        panels[f"strength {bias:g}"] = {m: (e.value, e.low, e.high) for m, e in estimates.items()}
    figure = intervals(panels, "KL over all impressions, less its base", dict.fromkeys(panels, 0.0))
    save_figure(figure, IMAGES / "study-bias.png")


def kuairand(out: Path, seeds: int) -> str:
    """The relations on KuaiRand's columns and split, compared on valid; no test row is read."""
    relations = Experiment.read(configuration("relations"))
    base = Experiment.read(configuration("kuairand"))
    experiment = base.model_copy(update={
        "models": relations.models,
        "train": base.train.model_copy(update={"seeds": tuple(range(1, seeds + 1))}),
    })
    prepare(experiment, out)
    options = pipeline.Options(track=False, test=False)
    pipeline.train(experiment, out, options)
    report = pipeline.evaluate(experiment, out, options)
    lines = {(line["model"], line["task"]): line for line in report["models"] if line["part"] == "valid"}
    return table(
        ["model", *(f"{task}: {what}" for task in ("cvr", "ctcvr")
                    for what in ("AUC", "less the best", "log loss", "level"))],
        ([model, *(cell for task in ("cvr", "ctcvr") for cell in cells(lines[model, task]))]
         for model in experiment.models),
    )


def cells(line: Mapping[str, float]) -> list[str]:
    """A task's AUC, its distance to the best model over users and seeds, log loss and PCOC."""
    distance = "best" if not line["difference"] else (
        f"{line['difference']:+.4f} ({line['difference_low']:+.4f} to {line['difference_high']:+.4f})")
    return [f"{line['auc']:.4f}", distance, f"{line['logloss']:.4f}", f"{line['pcoc']:.3f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--kuairand", action="store_true")
    chosen = parser.parse_args()
    if chosen.kuairand:
        print(kuairand(chosen.out or Path("runs/study-bias-kuairand"), chosen.seeds or 5))
        return
    found = study(chosen.out or Path("runs/study-bias"), chosen.rows, chosen.seeds or 5)
    print(tables(found))
    draw(found)
    keep("study_bias", {f"{bias:g}": measured for bias, measured in found.items()})


if __name__ == "__main__":
    main()
