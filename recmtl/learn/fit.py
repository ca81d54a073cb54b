"""The training loop: a model and two parts of the data in, one `Epoch` at a time out.

It neither logs nor prints; who listens decides what becomes of an epoch.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from recmtl.batch import Batch, Output
from recmtl.errors import RecmtlError
from recmtl.learn.checkpoint import load_weights, save_weights
from recmtl.learn.gates import GateSummary
from recmtl.learn.losses import task_loss
from recmtl.learn.metrics import task_metrics
from recmtl.learn.optim import build_optimizers
from recmtl.learn.predict import Batches, predict
from recmtl.learn.settings import TrainConfig
from recmtl.learn.tasks import TaskStatistics
from recmtl.progress import SILENT, Progress
from recmtl.schema import Task


@dataclass(frozen=True)
class Epoch:
    """What one pass over train gave; `best` says whether its weights are the best so far."""

    number: int  # from 1
    metrics: Mapping[str, float]  # auc_valid/ctr, loss_train/ctr, …
    gates: Mapping[str, GateSummary]
    timings: Mapping[str, float]  # seconds, and rows a second
    best: bool


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

    def total(self, losses: Mapping[str, Tensor], output: Output) -> Tensor:
        """Σ weight · loss + Σ penalties, a scalar."""
        weighted = [weight * losses[name] for name, weight in self.weights.items()]
        return torch.stack([*weighted, *output.penalties.values()]).sum()


@dataclass(frozen=True)
class Parts:
    """The data that a fit sees; test is not among it. `labels` are valid's, (N,) each."""

    train: Batches
    valid: Batches
    labels: Mapping[str, np.ndarray]


def fit(
    model: nn.Module, parts: Parts, objective: Objective, config: TrainConfig, best: Path,
    progress: Progress = SILENT,
) -> Iterator[Epoch]:
    """Train until the monitored metric has not risen for `patience` epochs; then restore the best.

    The best weights are kept in the file `best`, so that two copies of the tables never lie in
    memory. When the iterator is exhausted, `model` holds them.

    Raises RecmtlError at the first loss that is NaN or infinite, with step, task and source rows.
    """
    step = _step(model, objective, build_optimizers(*_parameters(model), config), config)
    top, waited = -np.inf, 0
    for number in range(1, config.epochs + 1):
        start = time.perf_counter()
        metrics = _train(model, parts.train, number, step, progress)
        trained = time.perf_counter()
        predicted = predict(model, parts.valid, progress)
        metrics |= task_metrics(objective.tasks, parts.labels, predicted.scores, "valid")
        value = _monitored(metrics, config)
        improved = value > top
        top, waited = max(top, value), 0 if improved else waited + 1
        if improved:
            save_weights(model, best)
        timings = {
            "train_seconds": trained - start,
            "train_rows_per_second": parts.train.rows / (trained - start),
            "valid_seconds": time.perf_counter() - trained,
        }
        yield Epoch(number, metrics, predicted.gates, timings, improved)
        if waited >= config.patience:
            break
    load_weights(model, best, next(model.parameters()).device)


def _train(
    model: nn.Module, train: Batches, epoch: int, step: Callable[[Batch], dict[str, Tensor]],
    progress: Progress,
) -> dict[str, float]:
    """One pass over train: the mean loss by task."""
    model.train()
    totals: dict[str, Tensor] = {}
    steps = 0
    with progress.track(train.rows, f"epoch {epoch}") as advance:
        for batch in train.batches(epoch):
            steps += 1
            losses = step(batch)
            if not all(torch.isfinite(value) for value in losses.values()):
                raise _not_finite(losses, batch, f"epoch {epoch}, step {steps}")
            for task, value in losses.items():
                totals[task] = totals.get(task, 0.0) + value.double()
            advance(len(batch))
    return {f"loss_train/{task}": float(total) / steps for task, total in totals.items()}


def _step(
    model: nn.Module, objective: Objective, optimizers: list[torch.optim.Optimizer],
    config: TrainConfig,
) -> Callable[[Batch], dict[str, Tensor]]:
    """A function that takes one step on a batch and gives its losses; no step where one is not finite."""
    device = next(model.parameters()).device.type
    half = config.precision == "bf16"

    def step(batch: Batch) -> dict[str, Tensor]:
        with torch.autocast(device, torch.bfloat16, enabled=half):
            output: Output = model(batch)
        losses = {**objective.losses(output, batch), **output.penalties}
        total = objective.total(losses, output)
        if torch.isfinite(total):
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            for optimizer in optimizers:
                optimizer.step()
        return {name: loss.detach() for name, loss in losses.items()}

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
