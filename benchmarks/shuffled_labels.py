"""With shuffled labels no model may know anything: every AUC is .50 within 3 standard errors.

    python benchmarks/shuffled_labels.py [--rows 400000] [--out runs/shuffled]

What leaks (a label among the features, a statistic of the test rows, a wrong join) shows here.
"""

import argparse
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recmtl import pipeline
from recmtl.data.synthetic import generate
from recmtl.demo import configuration
from recmtl.progress import terminal
from recmtl.seed import numpy_generator


def shuffle_labels(log: Path, seed: int) -> None:
    """Permute (click, conversion) pairs over all rows of the files of a log, in place."""
    files = sorted(log.glob("*.parquet"))
    tables = [pq.read_table(file) for file in files]
    labels = {n: np.concatenate([t[n].to_numpy() for t in tables]) for n in ("click", "conversion")}
    order = numpy_generator(seed, "shuffled labels").permutation(len(labels["click"]))
    start = 0
    for file, table in zip(files, tables, strict=True):
        for name, values in labels.items():
            part = pa.array(values[order][start : start + table.num_rows], table.schema.field(name).type)
            table = table.set_column(table.column_names.index(name), name, part)
        pq.write_table(table, file)
        start += table.num_rows


def run(rows: int, out: Path, models: list[str] | None = None, seed: int = 7) -> list[dict[str, Any]]:
    """Train the synthetic configuration on shuffled labels; a line a model and task on test, with z."""
    generate(out / "log", rows, seed)
    shuffle_labels(out / "log" / "log", seed)
    os.environ["RECMTL_SYNTHETIC"] = str((out / "log").absolute())
    config = configuration("synthetic")
    options = pipeline.Options(models=models, track=False, progress=terminal())
    for step in (pipeline.ingest, pipeline.encode, pipeline.train):
        step(config, out, options)
    lines = pipeline.evaluate(config, out, options)["models"]
    return [{**line, "z": z_score(line)} for line in lines if line["part"] == "test"]


def z_score(line: dict[str, Any]) -> float:
    """Distance of the AUC from ½ in its standard errors under no knowledge (Mann and Whitney)."""
    positives, negatives = line["positives"], line["rows"] - line["positives"]
    error = math.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    return float(line["auc"] - 0.5) / error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--out", type=Path, default=Path("runs/shuffled"))
    chosen = parser.parse_args()
    for line in run(chosen.rows, chosen.out):
        print(f"{line['model']:18} {line['task']:6} auc {line['auc']:.4f}  z {line['z']:+.2f}")


if __name__ == "__main__":
    main()
