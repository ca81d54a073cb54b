"""recmtl's own training, held after every so many steps until a line comes in; each block is timed.

    python paced.py CONFIG OUT STEPS MODEL

Prints "ready", then for each line on standard input trains STEPS steps and prints {"rows", "seconds"}.
It is `recmtl.pipeline.train` itself, loader included, with a progress bar that waits.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from recmtl.pipeline import Options, train
from recmtl.progress import Progress


class Paced(Progress):
    """Waits for a line before the first step and after every `steps` of an epoch."""

    def __init__(self, steps: int) -> None:
        super().__init__(visible=False)
        self.steps = steps
        self.done = self.rows = 0
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
        self.done += 1
        self.rows += rows
        if self.done == self.steps:
            seconds = time.perf_counter() - self.start
            print(json.dumps({"rows": self.rows, "seconds": seconds}), flush=True)
            self._wait()

    def _wait(self) -> None:
        if not sys.stdin.readline():
            raise SystemExit
        self.done = self.rows = 0
        self.start = time.perf_counter()


def main() -> None:
    config, out, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    train(config, out, Options(track=False, device="cpu", models=[sys.argv[4]], progress=Paced(steps)))


if __name__ == "__main__":
    main()
