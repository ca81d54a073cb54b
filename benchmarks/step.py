"""One step of the pipeline in a process of its own: seconds and the most memory that it held.

    python step.py ingest|encode|train|score CONFIG OUT
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

from recmtl import pipeline
from recmtl.folder import read_manifest

QUIET = pipeline.Options(track=False, device="cpu", models=["mmoe"])


def train(config: Path, out: Path) -> dict[str, float]:
    """Train one epoch; seconds of the training loop alone, its rows, and what valid says."""
    from recmtl.data.shards import Shards

    (folder,) = pipeline.train(config, out, QUIET)
    epoch = read_manifest(folder)["epochs"][-1]
    return {
        "loop_seconds": epoch["timings"]["train_seconds"],
        "rows": len(Shards.open(out / "shards" / "train")),
        "auc_valid_ctr": epoch["metrics"]["auc_valid/ctr"],
        "auc_valid_ctcvr": epoch["metrics"]["auc_valid/ctcvr"],
    }


def score(out: Path) -> None:
    """Score every file of the log with the trained bundle."""
    model = str(out / "models" / "mmoe" / "seed-1" / "bundle")
    pipeline.score(model, os.path.expandvars("${W1}/part-*.parquet"), out / "scores", QUIET)


def main() -> None:
    name, config, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    start = time.perf_counter()
    found: dict[str, float] = {}
    match name:
        case "ingest":
            pipeline.ingest(config, out, QUIET)
        case "encode":
            pipeline.encode(config, out, QUIET)
        case "train":
            found = train(config, out)
        case "score":
            score(out)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak_bytes": peak, **found}))


if __name__ == "__main__":
    main()
