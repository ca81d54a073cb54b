"""The training loop: a model and two parts of the data in, one `Epoch` at a time out.

It neither logs nor prints; who listens decides what becomes of an epoch.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from recmtl.batch import Batch
from recmtl.errors import RecmtlError
from recmtl.learn.checkpoint import load_weights, save_weights
from recmtl.learn.gates import GateSummary
from recmtl.learn.losses import losses
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
    optimizers = build_optimizers(*_parameters(model), config)
    top, waited = -np.inf, 0
    for number in range(1, config.epochs + 1):
        start = time.perf_counter()
        metrics = _train(model, parts.train, objective, optimizers, (number, config, progress))
        trained = time.perf_counter()
        predicted = predict(model, parts.valid, progress)
        metrics |= task_metrics(objective.tasks, parts.labels, predicted.scores, "valid")
        value = _monitored(metrics, config)
        improved = value > top
        if improved:
            top, waited = value, 0
            save_weights(model, best)
        else:
            waited += 1
        timings = {
            "train_seconds": trained - start,
            "train_rows_per_second": len(parts.train) / (trained - start),
            "valid_seconds": time.perf_counter() - trained,
        }
        yield Epoch(number, metrics, predicted.gates, timings, improved)
        if waited >= config.patience:
            break
    load_weights(model, best, next(model.parameters()).device)


def _train(
    model: nn.Module, train: Batches, objective: Objective,
    optimizers: list[torch.optim.Optimizer], run: tuple[int, TrainConfig, Progress],
) -> dict[str, float]:
    """One pass over train: the mean loss by task."""
    number, config, progress = run
    model.train()
    device = next(model.parameters()).device
    totals = {task: torch.zeros((), dtype=torch.float64, device=device) for task in objective.weights}
    steps = 0
    with progress.track(len(train), f"epoch {number}") as advance:
        for batch in train.batches(number):
            with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
                output = model(batch)
            found = losses(
                objective.tasks, output, batch,
                {t: objective.statistics[t] for t in objective.weights},
            )
            total = sum(
                (weight * found[task] for task, weight in objective.weights.items()),
                start=sum(output.penalties.values(), start=torch.zeros((), device=device)),
            )
            steps += 1
            if not torch.isfinite(total):
                raise _not_finite(found, batch, (number, steps))
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            total.backward()
            for optimizer in optimizers:
                optimizer.step()
            for task, value in found.items():
                totals[task] += value.detach()
            advance(len(batch))
    return {f"loss_train/{task}": float(total) / steps for task, total in totals.items()}


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


def _not_finite(found: Mapping[str, Tensor], batch: Batch, at: tuple[int, int]) -> RecmtlError:
    tasks = [task for task, value in found.items() if not torch.isfinite(value)]
    files = sorted({int(f) for f in batch.origin[:, 0]})
    first, last = batch.origin[0].tolist(), batch.origin[-1].tolist()
    return RecmtlError(
        "the loss is NaN or infinite", where=f"epoch {at[0]}, step {at[1]}",
        found=f"task {', '.join(tasks) or 'a penalty'}; batch of {len(batch)} rows from source files "
        f"{files[:5]}, (file, row) {tuple(first)} … {tuple(last)}",
        fix="look at the numeric columns and labels of those rows, or lower the learning rate",
    )
