"""Losses of steps in; their sums, and an error that names the first that is not finite."""

import math
import time

import torch
from torch import Tensor

from recmtl.batch import Batch
from recmtl.errors import RecmtlError
from recmtl.learn.resume import Standing
from recmtl.learn.step import Losses


class Meter:
    """Adds each step's losses to `standing`, `every` so many steps at once.

    To read a loss waits for the GPU to come to it: in between, steps are only asked for.
    """

    def __init__(self, standing: Standing, every: int) -> None:
        self._standing, self._every = standing, every
        self._start = time.perf_counter() - standing.seconds
        self._waiting: list[tuple[Losses, Tensor]] = []

    def add(self, losses: Losses, batch: Batch) -> None:
        """Raises RecmtlError as `read` does."""
        self._waiting.append((losses, batch.origin))
        if len(self._waiting) >= self._every:
            self.read()

    def read(self) -> None:
        """Raises RecmtlError at the first loss that is NaN or infinite: with step, task, source rows."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        found = iter(torch.stack([loss for losses, _ in waiting for loss in losses.values()]).tolist())
        for losses, origin in waiting:
            self._standing.steps += 1
            values = {name: next(found) for name in losses}
            bad = [name for name, value in values.items() if not math.isfinite(value)]
            if bad:
                where = f"epoch {self._standing.epoch}, step {self._standing.steps}"
                raise _not_finite(bad, origin, where)
            for name, value in values.items():
                self._standing.add(name, value)
        self._standing.seconds = time.perf_counter() - self._start


def _not_finite(names: list[str], origin: Tensor, where: str) -> RecmtlError:
    files = sorted(set(origin[:, 0].tolist()))
    first, last = origin[0].tolist(), origin[-1].tolist()
    return RecmtlError(
        "the loss is NaN or infinite", where=where,
        found=f"loss of {', '.join(names)}; batch of {len(origin)} rows from source files "
        f"{files[:5]}, (file, row) {tuple(first)} … {tuple(last)}",
        fix="look at the numeric columns and labels of those rows, or lower the learning rate",
    )
