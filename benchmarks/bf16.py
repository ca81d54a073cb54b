"""Whether bf16 costs quality: MMoE on W1a with three seeds in fp32 on torch's operators, and in bf16.

    python benchmarks/bf16.py [--w1 FOLDER] [--out FOLDER] [--seeds 1 2 3]

After one epoch, on valid: each task's AUC, and how far its scores lie from the probabilities that the log
was drawn from (W1/truth): the mean absolute distance, and the mean Kullback-Leibler divergence, which is
the log loss less the least that any scores have. Intervals are of bf16 less fp32, paired, from a
bootstrap over users and seeds.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import rel_entr

from benchmarks.measure import HERE, PEERS, RUNS, beside, keep, make_log, prepared, step
from recmtl.data.shards import Shards
from recmtl.evaluate.significance import estimate, paired_bootstrap
from recmtl.seed import numpy_generator

KINDS = {"fp32": "torch", "bf16": ""}  # precision → RECMTL_KERNELS
DRAWS = 1000
Row = np.ndarray  # (N,)
Scores = dict[str, list[dict[str, Row]]]  # precision → seed → task → scores


def planted(w1: Path, origin: np.ndarray) -> dict[str, Row]:
    """task → the probability of each row (file of the log, row in it)."""
    files = [pq.read_table(file) for file in sorted((w1 / "truth").glob("part-*.parquet"))]
    first = np.cumsum([0, *(len(file) for file in files)])
    found = pa.concat_tables(files).take(pa.array(first[origin[:, 0]] + origin[:, 1]))
    click, conversion = (found[name].to_numpy() for name in ("p_click", "p_conversion_given_click"))
    return {"ctr": click, "cvr": conversion, "ctcvr": click * conversion}


def absolute(planted: Row, score: Row) -> Row:
    far: Row = np.abs(score - planted)
    return far


def divergence(planted: Row, score: Row) -> Row:
    kept = np.clip(score.astype(np.float64), 1e-12, 1 - 1e-12)
    far: Row = rel_entr(planted, kept) + rel_entr(1 - planted, 1 - kept)
    return far


def auc(scores: Scores, task: str, label: Row, user: Row) -> dict[str, Any]:
    """On the rows where the label is known."""
    known = ~np.isnan(label)
    models = {f"{kind} {i}": found[task][known]
              for kind, seeds in scores.items() for i, found in enumerate(seeds)}
    found = paired_bootstrap(label[known], models, user[known], replicates=DRAWS)
    values = {kind: [found.value[f"{kind} {i}"] for i in range(len(seeds))]
              for kind, seeds in scores.items()}
    draws = [found.draws[f"bf16 {i}"] - found.draws[f"fp32 {i}"] for i in range(len(values["bf16"]))]
    return summary(values, np.stack(draws, axis=1))


def distance(measure: Callable[[Row, Row], Row], scores: Scores, task: str, truth: Row, user: Row
             ) -> dict[str, Any]:
    """The mean of a distance to the planted probabilities, on all rows."""
    far = {kind: np.stack([measure(truth, s[task]) for s in seeds], axis=1)
           for kind, seeds in scores.items()}
    code = np.unique(user, return_inverse=True)[1]
    rows = np.bincount(code)
    more = np.stack([np.bincount(code, weights=w) for w in (far["bf16"] - far["fp32"]).T], axis=1)
    random = numpy_generator(0, "bootstrap")
    draws = np.empty((DRAWS, more.shape[1]))
    for draw in draws:
        times = np.bincount(random.integers(len(rows), size=len(rows)), minlength=len(rows))
        draw[:] = times @ more / (times @ rows)
    return summary({kind: found.mean(axis=0).tolist() for kind, found in far.items()}, draws)


def summary(values: dict[str, list[float]], draws: np.ndarray) -> dict[str, Any]:
    """Each seed's values, and the interval of the mean difference; `draws` (R, seeds) of differences."""
    seeds = draws.shape[1]
    picked = numpy_generator(0, "seeds").integers(seeds, size=draws.shape)
    mean = float(np.mean(values["bf16"]) - np.mean(values["fp32"]))
    found = estimate(mean, np.take_along_axis(draws, picked, axis=1).mean(axis=1))
    return {**values, "difference": found.value, "low": found.low, "high": found.high}


def trained(out: Path, seeds: list[int]) -> Scores:
    """Train with each seed in each precision, in turns; scores of valid."""
    folders = {kind: beside(out, f"bf16-{kind}") for kind in KINDS}
    for seed in seeds:
        for kind, kernels in KINDS.items():
            os.environ["RECMTL_KERNELS"] = kernels
            step("train", HERE / "w1a.toml", folders[kind], "--precision", kind, "--seed", seed)
    del os.environ["RECMTL_KERNELS"]
    found: Scores = {kind: [] for kind in KINDS}
    for kind, folder in folders.items():
        for seed in seeds:
            table = pq.read_table(folder / "models" / "mmoe" / f"seed-{seed}" / "valid.parquet")
            found[kind].append({name: table[name].to_numpy() for name in table.column_names})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--w1", type=Path, default=PEERS / "w1")
    parser.add_argument("--out", type=Path, default=RUNS / "w1a", help="holds W1a's shards, or will")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    chosen = parser.parse_args()
    os.environ["W1"] = str(chosen.w1.absolute())
    make_log(chosen.w1)
    valid = Shards.open(prepared(HERE / "w1a.toml", chosen.out) / "shards" / "valid")
    scores = trained(chosen.out, chosen.seeds)
    click, converted, user = valid.labels("click"), valid.labels("converted"), valid.keys()["user_id"]
    user = user.to_numpy()
    labels = {"ctr": click, "cvr": np.where(click == 1, converted, np.nan), "ctcvr": converted}
    found = {}
    for task, truth in planted(chosen.w1, valid.origin).items():
        found[task] = {
            "AUC": auc(scores, task, labels[task], user),
            "mean absolute distance": distance(absolute, scores, task, truth, user),
            "divergence": distance(divergence, scores, task, truth, user),
        }
        print(task, found[task], flush=True)
    keep("bf16", {"rows": len(valid), "clicks": int(click.sum()), "conversions": int(converted.sum()),
                  "seeds": chosen.seeds, "tasks": found})


if __name__ == "__main__":
    main()
