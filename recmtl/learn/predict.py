"""A model over a part of the data: scores and gates, in fp32, in the order of the rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn

from recmtl.batch import Batch, Output
from recmtl.learn.gates import GateAccumulator, GateSummary
from recmtl.learn.group import ALONE, Group
from recmtl.progress import SILENT, Progress


class Batches(Protocol):
    """A part of the data that can be gone through again and again."""

    rows: int

    def __len__(self) -> int:
        """Batches an epoch."""

    def batches(self, epoch: int = 0, skip: int = 0) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class Predictions:
    """Scores per task, (N,) or (N, C), and what the gates did."""

    scores: Mapping[str, np.ndarray]
    gates: Mapping[str, GateSummary]


@torch.no_grad()  # not inference_mode: sharded tables have no look-up there
def predict(
    model: nn.Module, part: Batches, progress: Progress = SILENT, group: Group = ALONE
) -> Predictions:
    """Score every row of a part, of which each process of a group has a stretch.

    The model's training mode is put back afterwards.
    """
    training = model.training
    model.eval()
    found: dict[str, np.ndarray] = {}  # made once: a piece a batch would break up the memory of the next
    done, gates = 0, GateAccumulator()
    with progress.track(part.rows, "evaluate") as advance:
        for batch in part.batches():
            output: Output = model(batch)
            for task, scores in model.scores(output, batch).items():  # type: ignore[operator]
                shape = (part.rows, *scores.shape[1:])
                every = found.setdefault(task, np.empty(shape, dtype=np.float32))
                every[done : done + len(batch)] = scores.float().cpu().numpy()
            gates.update(output.gates)
            done += len(batch)
            advance(len(batch))
    model.train(training)
    gates.add_up(group.total)
    own = {task: torch.from_numpy(every[:done]) for task, every in found.items()}
    return Predictions({task: group.joined(s).numpy() for task, s in own.items()}, gates.summary())
