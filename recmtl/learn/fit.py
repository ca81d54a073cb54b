"""The training loop: a model and two parts of the data in, one `Epoch` at a time out.

It neither logs nor prints; who listens decides what becomes of an epoch.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import nn

from recmtl.errors import RecmtlError
from recmtl.learn.checkpoint import load_weights, save_weights
from recmtl.learn.epoch import Epoch
from recmtl.learn.group import ALONE, Group
from recmtl.learn.meter import Meter
from recmtl.learn.metrics import task_metrics
from recmtl.learn.optim import Step, build_optimizers, paced
from recmtl.learn.predict import Batches, predict
from recmtl.learn.resting import Resting, resting
from recmtl.learn.resume import Checkpoints, Standing
from recmtl.learn.settings import TrainConfig
from recmtl.learn.sharded.tables import fused
from recmtl.learn.step import Objective, make_step, parameters
from recmtl.memory import keep_freed_memory
from recmtl.progress import SILENT, Progress

READ_EVERY = 64  # steps between two looks at the losses on a GPU: each waits for what was asked of it


@dataclass(frozen=True)
class Parts:
    """The data that a fit sees; test is not among it. `labels` are valid's, (N,) each.

    `together` (N,) says which rows of valid are of one user or request, where [data] names such a column.
    In a group of processes `train` and `valid` give this one's share, `labels` all.
    """

    train: Batches
    valid: Batches
    labels: Mapping[str, np.ndarray]
    group: Group = ALONE
    together: np.ndarray | None = None


def fit(
    model: nn.Module, parts: Parts, objective: Objective, config: TrainConfig, keep: Checkpoints,
    progress: Progress = SILENT,
) -> Iterator[Epoch]:
    """Train until the monitored metric has not risen for `patience` epochs, or all tasks have stopped.

    Then `model` holds the best weights; until then a file does: two copies of the tables never lie in
    memory. What steps free stays with the process until `give_freed_memory_back`. A fit that was killed
    goes on from its last checkpoint, to the same weights, and gives the epochs before it again. Raises
    RecmtlError at the first loss that is NaN or infinite, with step, task and source rows; on a GPU some
    steps later, and nothing is saved in between.
    """
    group = parts.group
    keep_freed_memory()
    weigher = objective.weigher.to(next(model.parameters()).device)
    modules = {"model": model, "weigher": weigher}
    turns, rest = objective.apart, resting(model, objective.freeze)
    step, optimizers = _steps(model, turns, config, group, rest)
    standing = keep.restore(modules, optimizers, group) or Standing()
    done = (standing.epoch - 1) * len(parts.train) + standing.steps
    step = paced(step, optimizers, config, len(parts.train), done)
    yield from standing.past

    def save(meter: Meter) -> None:
        if keep.due(group):
            meter.read()  # no checkpoint holds what a loss that is not finite left
            keep.save(standing, modules, optimizers, group)

    while standing.epoch <= config.epochs and standing.waited < config.patience:
        for turn in turns:
            turn.begin([epoch.metrics for epoch in standing.past], config)
        if all(turn.over for turn in turns):
            break
        rest.begin(standing.epoch, {*chain(*(turn.stopped for turn in turns))})
        _train(model, parts.train, standing, step, save, progress)
        epoch = _epoch(model, parts, objective, config, standing, progress)
        if epoch.best:
            save_weights(model, keep.best, group)
        yield epoch
    load_weights(model, keep.best)


def _steps(
    model: nn.Module, turns: Sequence[Objective], config: TrainConfig, group: Group, rest: Resting
) -> tuple[Step, list[torch.optim.Optimizer]]:
    """A step that takes a batch whosever turn it is, and all optimizers: those of each turn."""
    owned = [
        build_optimizers(*parameters(model), config, len(turns) > 1) + fused(model)
        + turn.weigher.optimizers(config) for turn in turns
    ]
    steps = [make_step(model, turn, own, config, group, rest)
             for turn, own in zip(turns, owned, strict=True)]
    return lambda batch: steps[batch.turn](batch), list(chain(*owned))


def _train(
    model: nn.Module, train: Batches, standing: Standing, step: Step, save: Callable[[Meter], None],
    progress: Progress,
) -> None:
    """The steps of an epoch that `standing` lacks; it is kept up to date."""
    model.train()
    meter = Meter(standing, every=1 if next(model.parameters()).device.type == "cpu" else READ_EVERY)
    with progress.track(train.rows, f"epoch {standing.epoch}") as advance:
        for batch in train.batches(standing.epoch, standing.steps):
            meter.add(step(batch), batch)
            save(meter)
            advance(len(batch))
        meter.read()


def _epoch(
    model: nn.Module, parts: Parts, objective: Objective, config: TrainConfig, standing: Standing,
    progress: Progress,
) -> Epoch:
    """Measure on valid what the steps gave; `standing` moves on to the next epoch."""
    start = time.perf_counter()
    predicted = predict(model, parts.valid, progress, parts.group)
    metrics = {
        f"loss_train/{task}": total / standing.counts[task] for task, total in standing.losses.items()
    }
    if objective.weighting or config.task_patience:
        with torch.no_grad():
            weights = [turn.weights() for turn in objective.apart]
        metrics |= {f"weight/{task}": float(own[task]) for own in weights for task in own}
    metrics |= task_metrics(
        objective.tasks, parts.labels, predicted.scores, "valid", config.metrics, parts.together
    )
    value = _monitored(metrics, config)
    timings = {
        "train_seconds": standing.seconds,
        "train_rows_per_second": parts.train.rows / standing.seconds,
        "checkpoint_seconds": standing.saving,
        "valid_seconds": time.perf_counter() - start,
    }
    epoch = Epoch(standing.epoch, metrics, predicted.gates, timings, value > standing.top)
    standing.finish(epoch, value)
    return epoch


def _monitored(metrics: Mapping[str, float], config: TrainConfig) -> float:
    if config.monitor not in metrics:
        raise RecmtlError(
            f"valid has no {config.monitor}: a label that it reads is constant there",
            where="train.monitor", fix="choose a larger valid part, or another metric",
        )
    value = metrics[config.monitor]
    return value if config.higher_is_better else -value
