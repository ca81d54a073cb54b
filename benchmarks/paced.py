"""recmtl's own training or scoring, held after every block until a line comes in; each block is timed.

    python paced.py train|score CONFIG OUT STEPS MODEL PRECISION

Prints "ready", then for each line on standard input does STEPS batches and prints {"rows", "seconds"}.
It is `recmtl.pipeline` itself with a progress bar that waits: loader included in training; in scoring,
with OUT's model of that name, Parquet in and Parquet out.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from step import STEPS, options_of, with_precision

from recmtl.experiment import Experiment
from recmtl.progress import Progress

WHAT = {"train": "epoch", "score": "score"}  # the bar that is held


class Paced(Progress):
    """Waits for a line before the first batch and after every `rows` rows."""

    def __init__(self, what: str, rows: int) -> None:
        super().__init__(visible=False)
        self.what, self.block = what, rows
        self.rows = 0
        self.start = 0.0

    @contextmanager
    def track(self, total: int | None, what: str) -> Iterator[Callable[[int], None]]:
        if not what.startswith(self.what):
            yield lambda n: None
            return
        print("ready", flush=True)
        self._wait()
        yield self._advance

    def _advance(self, rows: int) -> None:
        self.rows += rows
        if self.rows >= self.block:
            seconds = time.perf_counter() - self.start
            print(json.dumps({"rows": self.rows, "seconds": seconds}), flush=True)
            self._wait()

    def _wait(self) -> None:
        if not sys.stdin.readline():
            raise SystemExit
        self.rows = 0
        self.start = time.perf_counter()


def main() -> None:
    name, config, out, steps, model, precision = sys.argv[1:]
    experiment = with_precision(Experiment.read(Path(config)), precision)
    paced = Paced(WHAT[name], int(steps) * experiment.train.batch_size)
    options = replace(options_of(model, precision), progress=paced)
    STEPS[name](experiment, Path(out), options)


if __name__ == "__main__":
    main()
