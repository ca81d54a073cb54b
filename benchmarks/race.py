"""Contestants that take turns, so that each meets the same machine: processes that wait; their rates."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measure import memory

Rates = dict[str, list[float]]  # contestant → rows a second, turn by turn


class Racer:
    """A process that does a block of work for each line that it is given."""

    def __init__(self, command: Sequence[object]) -> None:
        self.command = [str(part) for part in command]
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )
        self._line("ready")

    def block(self, work: str) -> dict[str, Any]:
        """Do a block: its rows and seconds at least."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{work}\n")
        self.process.stdin.flush()
        measured: dict[str, Any] = json.loads(self._line("{"))
        return measured

    def stop(self) -> int:
        """End the process; the most bytes that it held."""
        most = memory(self.process.pid)["VmHWM"]
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        return most

    def _line(self, start: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(start):
                return line
        sys.exit(f"a racer ended: {' '.join(self.command)}")


def race(racers: Mapping[str, Racer], work: str, turns: int) -> tuple[Rates, dict[str, Any]]:
    """Rates, and the last block of each; a racer's first block is warm-up and left out."""
    rates: Rates = {name: [] for name in racers}
    last: dict[str, Any] = {}
    for turn in range(turns + 1):
        for name, racer in racers.items():
            last[name] = racer.block(work)
            rate = last[name]["rows"] / last[name]["seconds"]
            print(f"{work} {turn} {name}: {rate:,.0f} rows/s", flush=True)
            if turn:
                rates[name].append(rate)
    return rates, last
