"""One step of the pipeline in a process of its own: rows, seconds, and what it found.

    python step.py ingest|decode|fit|encode|train|score CONFIG OUT
        [--precision fp32|bf16] [--model MODEL] [--seed 1]

`decode` reads the examples' columns and lets them go; `fit` fits vocabularies and statistics. Both are
parts of `encode`, measured alone.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq

from recmtl import pipeline
from recmtl.data.examples import Examples
from recmtl.experiment import Experiment
from recmtl.folder import read_manifest

Found = dict[str, float]
Precision = Literal["fp32", "bf16"]


def rows_of(out: Path) -> Found:
    days = Examples.open(out / "examples").manifest["days"]
    return {"rows": sum(day["rows"] for day in days.values())}


def ingest(experiment: Experiment, out: Path, options: pipeline.Options) -> Found:
    pipeline.ingest(experiment, out, options)
    return rows_of(out)


def decode(experiment: Experiment, out: Path, options: pipeline.Options) -> Found:
    from recmtl.data.duck import connect
    from recmtl.data.selection import select

    examples = Examples.open(out / "examples")
    columns = [*examples.features, *experiment.labels]
    with closing(connect(experiment.data.memory_limit, experiment.spill)) as db:
        rows = sum(len(batch) for batch in db.sql(select(examples, columns=columns)).to_arrow_reader())
    return {"rows": rows}


def fit(experiment: Experiment, out: Path, options: pipeline.Options) -> Found:
    from recmtl.data.encoder import Encoder

    Encoder.fit(experiment, Examples.open(out / "examples"), experiment.embedding.width)
    return rows_of(out)


def encode(experiment: Experiment, out: Path, options: pipeline.Options) -> Found:
    pipeline.encode(experiment, out, options)
    return rows_of(out)


def train(experiment: Experiment, out: Path, options: pipeline.Options) -> Found:
    """Train; seconds and rows of the training loop alone, and what valid says of the last epoch."""
    from recmtl.data.shards import Shards

    (folder,) = pipeline.train(experiment, out, options)
    epoch = read_manifest(folder)["epochs"][-1]
    metrics = {name: value for name, value in epoch["metrics"].items() if name.startswith("auc_valid")}
    return {"loop_seconds": epoch["timings"]["train_seconds"],
            "rows": len(Shards.open(out / "shards" / "train")), **metrics}


def score(experiment: Experiment, out: Path, options: pipeline.Options) -> Found:
    """Score every file of the log with the trained bundle."""
    (model,) = options.models or ()
    bundle = str(out / "models" / model / "seed-1" / "bundle")
    pattern = os.path.expandvars("${W1}/part-*.parquet")
    pipeline.score(bundle, pattern, out / "scores", options)
    return {"rows": sum(pq.read_metadata(file).num_rows for file in pipeline.find_parquet(pattern))}


STEPS: dict[str, Callable[[Experiment, Path, pipeline.Options], Found]] = {
    "ingest": ingest, "decode": decode, "fit": fit, "encode": encode, "train": train, "score": score,
}


def with_precision(experiment: Experiment, precision: str) -> Experiment:
    settings = experiment.train.model_copy(update={"precision": precision})
    return experiment.model_copy(update={"train": settings})


def options_of(model: str, precision: Precision, seed: int = 1) -> pipeline.Options:
    return pipeline.Options(
        track=False, device="cpu", models=[model], seeds=[seed], precision=precision
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--model", default="mmoe")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    start = time.perf_counter()
    experiment = with_precision(Experiment.read(chosen.config), chosen.precision)
    options = options_of(chosen.model, chosen.precision, chosen.seed)
    found = STEPS[chosen.step](experiment, chosen.out, options)
    print(json.dumps({"seconds": time.perf_counter() - start, **found}))


if __name__ == "__main__":
    main()
