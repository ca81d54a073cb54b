"""Tasks that take turns: the rows that each turn goes over, whose batch comes when, and what it moves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from recmtl.batch import Batch
from recmtl.heads import head_of
from recmtl.learn.predict import Batches
from recmtl.learn.tasks import BLOCK
from recmtl.schema import Task
from recmtl.schema.turns import TurnTasks


@dataclass(frozen=True)
class Turn:
    """Tasks that are trained together, and the train rows that they go over."""

    tasks: tuple[str, ...]
    places: np.ndarray  # (n,) rising: where the label of one of them is known
    part: float  # n / all train rows


def take_turns(
    turns: TurnTasks, tasks: Mapping[str, Task], labels: Mapping[str, np.ndarray]
) -> list[Turn]:
    """The turns of a model on train, from its label columns (N,), read a block at a time."""
    found = [np.concatenate([*_known([tasks[name] for name in turn], labels)]) for turn in turns]
    count = len(next(iter(labels.values())))
    return [Turn(turn, places, len(places) / count) for turn, places in zip(turns, found, strict=True)]


def _known(tasks: Sequence[Task], labels: Mapping[str, np.ndarray]) -> Iterator[np.ndarray]:
    count = len(next(iter(labels.values())))
    for start in range(0, count, BLOCK):
        block = {name: np.asarray(label[start : start + BLOCK]) for name, label in labels.items()}
        heads = [head_of(task) for task in tasks]
        known = np.logical_or.reduce([head.known(head.label(block)) for head in heads])
        yield (np.flatnonzero(known) + start).astype(np.min_scalar_type(-count))  # they are many


class InTurns:
    """Batches of several parts of train, each part's once an epoch, spread evenly among the others'.

    Each says whose turn it is. The order follows from how many batches the parts have: of counts n_t the
    j-th batch of part t, j from 0, stands at (j + ½) / n_t of the epoch, so that all parts end together.
    """

    def __init__(self, parts: Sequence[Batches]) -> None:
        self._parts = parts
        self.rows = sum(part.rows for part in parts)
        self._order = interleaved([len(part) for part in parts])

    def __len__(self) -> int:
        return len(self._order)

    def batches(self, epoch: int = 0, skip: int = 0) -> Iterator[Batch]:
        done = np.bincount(self._order[:skip], minlength=len(self._parts))
        left = [part.batches(epoch, int(n)) for part, n in zip(self._parts, done, strict=True)]
        for turn in self._order[skip:].tolist():
            yield replace(next(left[turn]), turn=turn)


def interleaved(counts: Sequence[int]) -> np.ndarray:
    """Which of some parts each batch of an epoch comes from, (Σ counts,); ties by the parts' order."""
    owners = np.repeat(np.arange(len(counts)), counts)
    at = np.concatenate([(np.arange(count) + 0.5) / count for count in counts])
    return owners[np.lexsort((owners, at))]


def backward(loss: Tensor, penalties: Tensor, parameters: Sequence[nn.Parameter]) -> None:
    """Leave the gradient of `loss`, a scalar, in parameters; that of `penalties` where it is not 0, too.

    What tasks of other turns alone move has no gradient of the loss, or one of 0 where it lies in one
    tensor, or one product, with what is moved: a penalty on it is theirs.
    """
    own = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    more = torch.autograd.grad(penalties, parameters, allow_unused=True)
    for parameter, gradient, added in zip(parameters, own, more, strict=True):
        known = gradient is not None and added is not None
        parameter.grad = _added(gradient, added) if known else gradient


def _added(gradient: Tensor, penalty: Tensor) -> Tensor:
    """Of a table both are sparse, with the rows of one look-up, in one order."""
    if not gradient.is_sparse:
        return gradient + torch.where(gradient != 0, penalty, 0.0)
    values = _added(gradient._values(), penalty._values())
    return torch.sparse_coo_tensor(
        gradient._indices(), values, gradient.shape, is_coalesced=gradient.is_coalesced(),
        check_invariants=False,
    )
