"""The training loop: a model and two parts of the data in, one `Epoch` at a time out.

It neither logs nor prints; who listens decides what becomes of an epoch.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from recmtl.batch import Batch, Output
from recmtl.errors import RecmtlError
from recmtl.kernels import keep_freed_memory
from recmtl.learn.checkpoint import load_weights, save_weights
from recmtl.learn.epoch import Epoch
from recmtl.learn.group import ALONE, Group
from recmtl.learn.losses import task_loss
from recmtl.learn.metrics import task_metrics
from recmtl.learn.optim import build_optimizers
from recmtl.learn.predict import Batches, predict
from recmtl.learn.resume import Checkpoints, Standing
from recmtl.learn.settings import TrainConfig
from recmtl.learn.tasks import TaskStatistics
from recmtl.progress import SILENT, Progress
from recmtl.schema import Task


@dataclass(frozen=True)
class Objective:
    """What is minimised: the tasks, the weight of each one's loss, and their statistics on train."""

    tasks: Mapping[str, Task]
    weights: Mapping[str, float]
    statistics: Mapping[str, TaskStatistics]

    def losses(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """The unweighted loss of every weighted task, scalars."""
        return {
            name: task_loss(self.tasks[name], output.raw[name], batch, self.statistics[name])
            for name in self.weights
        }

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Σ weight · loss, a scalar; a penalty's weight is 1."""
        return torch.stack([self.weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()


@dataclass(frozen=True)
class Parts:
    """The data that a fit sees; test is not among it. `labels` are valid's, (N,) each.

    In a group of processes `train` and `valid` give this one's share, `labels` all.
    """

    train: Batches
    valid: Batches
    labels: Mapping[str, np.ndarray]
    group: Group = ALONE


def fit(
    model: nn.Module, parts: Parts, objective: Objective, config: TrainConfig, keep: Checkpoints,
    progress: Progress = SILENT,
) -> Iterator[Epoch]:
    """Train until the monitored metric has not risen for `patience` epochs; then restore the best.

    A fit that was killed goes on from its last checkpoint, to the same weights; the epochs before it are
    given again. The best weights are kept in a file, so that two copies of the tables never lie in
    memory. When the iterator is exhausted, `model` holds them.

    Raises RecmtlError at the first loss that is NaN or infinite, with step, task and source rows.
    """
    group = parts.group
    keep_freed_memory()
    optimizers = build_optimizers(*_parameters(model), config)
    step = _step(model, objective, optimizers, config, group)
    standing = keep.restore(model, optimizers, group) or Standing()
    yield from standing.past

    def save() -> None:
        if keep.due(group):
            keep.save(standing, model, optimizers, group)

    while standing.epoch <= config.epochs and standing.waited < config.patience:
        _train(model, parts.train, standing, step, save, progress)
        epoch = _epoch(model, parts, objective, config, standing, progress)
        if epoch.best and group.first:
            save_weights(model, keep.best)
        yield epoch
    if group.first:
        load_weights(model, keep.best, next(model.parameters()).device)


def _train(
    model: nn.Module, train: Batches, standing: Standing, step: Callable[[Batch], dict[str, Tensor]],
    save: Callable[[], None], progress: Progress,
) -> None:
    """The steps of an epoch that `standing` lacks; it is kept up to date."""
    model.train()
    start = time.perf_counter() - standing.seconds
    with progress.track(train.rows, f"epoch {standing.epoch}") as advance:
        for batch in train.batches(standing.epoch, standing.steps):
            losses = step(batch)
            standing.steps += 1
            if not all(torch.isfinite(value) for value in losses.values()):
                raise _not_finite(losses, batch, f"epoch {standing.epoch}, step {standing.steps}")
            for task, value in losses.items():
                standing.losses[task] = standing.losses.get(task, 0.0) + float(value.double())
            standing.seconds = time.perf_counter() - start
            save()
            advance(len(batch))


def _epoch(
    model: nn.Module, parts: Parts, objective: Objective, config: TrainConfig, standing: Standing,
    progress: Progress,
) -> Epoch:
    """Measure on valid what the steps gave; `standing` moves on to the next epoch."""
    start = time.perf_counter()
    predicted = predict(model, parts.valid, progress, parts.group)
    metrics = {f"loss_train/{task}": total / standing.steps for task, total in standing.losses.items()}
    metrics |= task_metrics(objective.tasks, parts.labels, predicted.scores, "valid")
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


def _step(
    model: nn.Module, objective: Objective, optimizers: list[torch.optim.Optimizer],
    config: TrainConfig, group: Group = ALONE,
) -> Callable[[Batch], dict[str, Tensor]]:
    """A function that takes one step on a batch and gives its losses; no step where one is not finite."""
    device = next(model.parameters()).device.type
    tables, dense, _ = _parameters(model)
    half = config.precision == "bf16"

    def step(batch: Batch) -> dict[str, Tensor]:
        with torch.autocast(device, torch.bfloat16, enabled=half):
            output: Output = model(batch)
        # A process's part of the sum over all: a penalty is the same on each of them.
        losses = {**objective.losses(output, batch),
                  **{name: penalty / group.size for name, penalty in output.penalties.items()}}
        total = objective.total(losses)
        found = group.total(torch.stack([loss.detach() for loss in losses.values()]))
        if torch.isfinite(found).all():
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            group.share_gradients(tables, dense)
            for optimizer in optimizers:
                optimizer.step()
        return dict(zip(losses, found.unbind(), strict=True))

    return step


def _parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter], int]:
    """Tables, everything else, and the copies of an embedding that a row of a table holds."""
    embedding = model.get_submodule("embedding")
    tables = list(embedding.get_submodule("tables").parameters())
    inside = {id(p) for p in tables}
    dense = [p for p in model.parameters() if id(p) not in inside]
    return tables, dense, int(embedding.copies)  # type: ignore[arg-type]


def _monitored(metrics: Mapping[str, float], config: TrainConfig) -> float:
    if config.monitor not in metrics:
        raise RecmtlError(
            f"valid has no {config.monitor}: its label is constant there", where="train.monitor",
            fix="choose a larger valid part, or another metric",
        )
    value = metrics[config.monitor]
    return value if config.higher_is_better else -value


def _not_finite(losses: Mapping[str, Tensor], batch: Batch, where: str) -> RecmtlError:
    names = [name for name, value in losses.items() if not torch.isfinite(value)]
    files = sorted({int(file) for file in batch.origin[:, 0]})
    first, last = batch.origin[0].tolist(), batch.origin[-1].tolist()
    return RecmtlError(
        "the loss is NaN or infinite", where=where,
        found=f"loss of {', '.join(names)}; batch of {len(batch)} rows from source files "
        f"{files[:5]}, (file, row) {tuple(first)} … {tuple(last)}",
        fix="look at the numeric columns and labels of those rows, or lower the learning rate",
    )
