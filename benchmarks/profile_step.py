"""Where the time of a training step goes: torch's profiler over a few steps of the real loop.

    python profile_step.py CONFIG OUT     prints a table in Markdown, a step's mean
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

from recmtl.pipeline import Options, train
from recmtl.progress import Progress

WARM, STEPS, LINES = 10, 20, 16


class Profiled(Progress):
    """Profiles `STEPS` steps of the first epoch after `WARM` others, then stops the run."""

    def __init__(self) -> None:
        super().__init__(visible=False)
        self.profiler = profile(activities=[ProfilerActivity.CPU])
        self.done = 0

    @contextmanager
    def track(self, total: int | None, what: str) -> Iterator[Callable[[int], None]]:
        yield self._advance if what.startswith("epoch") else lambda n: None

    def _advance(self, rows: int) -> None:
        self.done += 1
        if self.done == WARM:
            self.profiler.start()
        if self.done == WARM + STEPS:
            self.profiler.stop()
            print(table(self.profiler))
            raise SystemExit


def table(profiler: profile) -> str:
    """The operators that took longest themselves, in ms a step and per cent."""
    found = sorted(profiler.key_averages(), key=lambda e: -e.self_cpu_time_total)
    total = sum(e.self_cpu_time_total for e in found)
    lines = ["| operator | calls a step | ms a step | share |", "|---|---|---|---|"]
    for event in found[:LINES]:
        own = event.self_cpu_time_total
        lines.append(
            f"| `{event.key}` | {event.count / STEPS:.1f} | {own / STEPS / 1e3:.2f} "
            f"| {own / total:.1%} |"
        )
    return "\n".join([*lines, f"| all | | {total / STEPS / 1e3:.2f} | 100% |"])


if __name__ == "__main__":
    options = Options(track=False, device="cpu", models=["mmoe"], progress=Profiled())
    train(Path(sys.argv[1]), Path(sys.argv[2]), options)
