"""recmtl's own training or scoring, held after every block until a line comes in; each block is timed.

    python paced.py train|score CONFIG OUT STEPS MODEL PRECISION

Prints "ready", then for each line on standard input does a block and prints {"rows", "seconds"}. Training
is `recmtl.pipeline` itself with a progress bar that waits after STEPS batches, loader included. Scoring
takes OUT's model of that name and a file of the log, and makes a file of scores.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle
from pathlib import Path

from benchmarks.step import options_of, with_precision
from recmtl import pipeline
from recmtl.experiment import Experiment
from recmtl.folder import read_manifest
from recmtl.progress import Progress
from recmtl.scoring import score_files

WARM = 2  # steps that find caches as another process left them: untimed, of the peers, too


class Paced(Progress):
    """Waits for a line before the first batch of an epoch and after every `rows` rows.

    Of `warm` rows after a line no time is taken.
    """

    def __init__(self, rows: int, warm: int) -> None:
        super().__init__(visible=False)
        self.block, self.warm = rows, warm
        self.rows = 0
        self.start = 0.0

    @contextmanager
    def track(self, total: int | None, what: str) -> Iterator[Callable[[int], None]]:
        if not what.startswith("epoch"):
            yield lambda n: None
            return
        print("ready", flush=True)
        self._wait()
        yield self._advance

    def _advance(self, rows: int) -> None:
        self.rows += rows
        if self.rows - rows < 0 <= self.rows:
            self.rows = 0
            self.start = time.perf_counter()
        if self.rows >= self.block:
            seconds = time.perf_counter() - self.start
            print(json.dumps({"rows": self.rows, "seconds": seconds}), flush=True)
            self._wait()

    def _wait(self) -> None:
        if not sys.stdin.readline():
            raise SystemExit
        self.rows = -self.warm
        self.start = time.perf_counter()


def score(model: Path, options: pipeline.Options) -> None:
    """A file of the log for each line."""
    scorer = pipeline.load_scorer(str(model), options)
    logs = cycle(sorted(Path(os.environ["W1"]).glob("part-*.parquet")))
    print("ready", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for _, log in zip(sys.stdin, logs, strict=False):
            start = time.perf_counter()
            scores = score_files(scorer, [log], Path(folder) / "scores")
            seconds = time.perf_counter() - start
            print(json.dumps({"rows": read_manifest(scores)["rows"], "seconds": seconds}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", choices=["train", "score"])
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("steps", type=int)
    parser.add_argument("model")
    parser.add_argument("precision", choices=["fp32", "bf16"])
    chosen = parser.parse_args()
    options = options_of(chosen.model, chosen.precision)
    if chosen.work == "score":
        score(chosen.out / "models" / chosen.model / "seed-1", options)
        return
    experiment = with_precision(Experiment.read(chosen.config), chosen.precision)
    size = experiment.train.batch_size
    paced = Paced(chosen.steps * size, WARM * size)
    pipeline.train(experiment, chosen.out, replace(options, progress=paced))


if __name__ == "__main__":
    main()
