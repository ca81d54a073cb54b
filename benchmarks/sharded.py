"""One model in one process, in two with whole tables, and in two with sharded ones: how far they differ.

    python benchmarks/sharded.py CONFIG OUT MODEL [--epochs 3]

OUT holds the shards of CONFIG (`recmtl ingest`, `recmtl encode`). One process takes the file's batches,
two half of each. Printed are the greatest differences to the one process, over epochs and tasks.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from benchmarks.measure import beside
from recmtl import pipeline
from recmtl.experiment import Experiment
from recmtl.folder import read_manifest

WAYS: dict[str, dict[str, Any]] = {
    "one process": {},
    "two, whole tables": {"processes": 2},
    "two, row_wise": {"processes": 2, "sharded_tables": "row_wise"},
    "two, table_wise": {"processes": 2, "sharded_tables": "table_wise"},
}


def train(experiment: Experiment, out: Path, model: str, settings: dict[str, Any]) -> Path:
    batch = experiment.train.batch_size // settings.get("processes", 1)
    settings = {**settings, "batch_size": batch}
    changed = experiment.model_copy(update={"train": experiment.train.model_copy(update=settings)})
    options = pipeline.Options(models=[model], seeds=[1], device="cpu", track=False)
    (run,) = pipeline.train(changed, out, options)
    return run


def apart(first: Path, second: Path, metric: str) -> float:
    curves = [read_manifest(run)["epochs"] for run in (first, second)]
    return max(
        float(abs(value - there["metrics"][name]))
        for here, there in zip(*curves, strict=True)
        for name, value in here["metrics"].items() if name.startswith(metric)
    )


def weights_apart(first: Path, second: Path) -> float:
    one, two = (load_file(run / "bundle" / "weights.safetensors") for run in (first, second))
    return max(float(np.abs(one[name] - two[name]).max()) for name in one)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("model")
    parser.add_argument("--epochs", type=int, default=3)
    chosen = parser.parse_args()
    experiment = Experiment.read(chosen.config)
    schedule = {"epochs": chosen.epochs, "patience": chosen.epochs}
    runs = {
        name: train(experiment, beside(chosen.out, f"{chosen.out.name}-{number}"), chosen.model,
                    {**schedule, **settings})
        for number, (name, settings) in enumerate(WAYS.items())
    }
    one = runs["one process"]
    print("| | loss on train | log loss on valid | AUC on valid | weights | rows/s |")
    print("|---|---|---|---|---|---|")
    for name, run in runs.items():
        found = [apart(one, run, metric) for metric in ("loss_train", "logloss", "auc")]
        differences = " | ".join(f"{value:.1e}" for value in (*found, weights_apart(one, run)))
        rates = [epoch["timings"]["train_rows_per_second"] for epoch in read_manifest(run)["epochs"]]
        print(f"| {name} | {differences} | {np.median(rates):,.0f} |")


if __name__ == "__main__":
    main()
