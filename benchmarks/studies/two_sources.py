"""Two sources with a task each: trained jointly, in batches of both, or in turns, with an optimizer each.

    RECMTL_DATA=… python -m benchmarks.studies.two_sources [--seeds 5] [--out runs/study-two-sources]

KuaiRand, made into two sources: of users with an even number it is known whether an impression is
clicked, of the others how long it is played. Days, columns, epochs and gain are those of the balancing
study. The table goes to standard output.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.studies import balancing
from benchmarks.studies.balancing import ALONE, Measured, gain, measured
from benchmarks.studies.results import keep, student, table, told
from recmtl import pipeline
from recmtl.current import open_prepared
from recmtl.experiment import Experiment
from recmtl.run import Run
from recmtl.schema.config import expand

WEIGHTS = (0.1, 1.0, 10.0)  # of the loss of playing; that of the click is 1
TURNS = [["click"], ["played"]]
LAST = "20220503"  # the file's test day, the one after it, is not read
JUDGED = "turns-1"


def write_sources(log: Path) -> None:
    """The days of the log with each label null where its source has none; nothing if they are there."""
    if log.exists():
        return
    days = Path(expand("${RECMTL_DATA}/kuairand_pure/log", Path()))
    log.mkdir(parents=True)
    for day in sorted(file for file in days.glob("*.parquet") if file.stem <= LAST):
        rows = pq.read_table(day)
        even = pc.equal(pc.bit_wise_and(rows["user_id"], 1), 0)
        for name, own in (("is_click", even), ("play_time_ms", pc.invert(even))):
            place, column = rows.column_names.index(name), rows[name]
            rows = rows.set_column(place, name, pc.if_else(own, column, pa.scalar(None, column.type)))
        pq.write_table(rows, log / day.name)


def experiment(log: Path) -> Experiment:
    """That of the balancing study on the two sources: a model a way and weight, and tasks alone."""
    base = balancing.experiment()
    content = base.model_dump(mode="json", exclude={"root"})
    content["data"]["impressions"]["path"] = f"{log.absolute()}/*.parquet"
    content["models"] = {ALONE: content["models"][ALONE]}
    for weight in WEIGHTS:
        model = {"sharing": {"kind": "shared_bottom"}, "loss": {"click": 1.0, "played": weight}}
        content["models"] |= {f"joint-{weight:g}": model, f"turns-{weight:g}": {**model, "turns": TURNS}}
    return Experiment.parse(content, base.root)


def study(out: Path, seeds: int) -> dict[str, list[Measured]]:
    """What each way's seeds measure on 3 May, each task on the rows of its source."""
    write_sources(out / "log")
    config, options = experiment(out / "log"), pipeline.Options(track=False)
    pipeline.ingest(config, out, options)
    pipeline.encode(config, out, options)
    prepared = open_prepared(config, out)
    return {
        model: [
            measured(Run(config, model, seed, out / "models" / model / f"seed-{seed}"), prepared, "test")
            for seed in range(1, seeds + 1)
        ]
        for model in config.models
    }


def text(found: dict[str, list[Measured]]) -> str:
    gains = {
        way: 100 * np.array([gain(*pair) for pair in zip(values, found[ALONE], strict=True)])
        for way, values in found.items()
    }
    return table(
        ["way", "click: AUC", "click: log loss", "played: RMSE, ms", "gain, %", f"{JUDGED} less this, %"],
        ([way, *(told(student(np.array([m[name] for m in values])), digits)
                 for name, digits in (("auc", 4), ("logloss", 4), ("rmse", 0))),
          told(student(gains[way]), 2, signed=True),
          told(student(gains[JUDGED] - gains[way]), 2, signed=True)] for way, values in found.items()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/study-two-sources"))
    chosen = parser.parse_args()
    found = study(chosen.out, chosen.seeds)
    print(text(found))
    keep("study_two_sources", {"measured": found})


if __name__ == "__main__":
    main()
