"""Whether a step takes longer the more users there are: batches over tables of several sizes, in turns.

    python benchmarks/users.py CONFIG OUT [--users 100000 1000000 10000000] [--precision fp32]

OUT holds the shards of CONFIG (`recmtl ingest`, `recmtl encode`). Users of a batch are drawn evenly from
all of a table's, so that hardly one comes twice: no cache helps, which is harder than a log is.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from recmtl.batch import Batch
from recmtl.data.loader import Loader
from recmtl.data.shards import Shards
from recmtl.experiment import Experiment
from recmtl.kernels import keep_freed_memory
from recmtl.learn.group import ALONE
from recmtl.learn.optim import build_optimizers
from recmtl.learn.step import Objective, make_step, parameters
from recmtl.learn.tasks import statistics as task_statistics
from recmtl.model.multitask import build_model
from recmtl.run import _labels

MODEL, USER, BATCHES = "mmoe", "user_id", 4


def contestant(
    experiment: Experiment, train: Shards, users: int, precision: str
) -> tuple[Callable[[Batch], object], list[Batch]]:
    """A step over a table with so many more rows, and batches whose users lie there."""
    layout = train.layout
    place = next(i for i, slot in enumerate(layout.slots) if slot.name == USER)
    width = layout.slots[place].width
    first = layout.tables[width]
    tables = {**layout.tables, width: first + users}
    config, tasks = experiment.models[MODEL], experiment.tasks
    known = task_statistics(tasks, _labels(train), train.weight)
    torch.manual_seed(1)
    model = build_model(config, experiment.embedding, replace(layout, tables=tables), tasks)
    settings = experiment.train.model_copy(update={"precision": precision})
    step = make_step(
        model, Objective(tasks, config.loss, known), build_optimizers(*parameters(model), settings),
        settings, ALONE,
    )
    batches = []
    for batch in islice(Loader(train, settings.batch_size, seed=1).batches(1), BATCHES):
        batch.rows[:, place] = first + torch.randint(users, (len(batch),), dtype=batch.rows.dtype)
        batches.append(batch)
    return step, batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--users", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=12)
    chosen = parser.parse_args()
    keep_freed_memory()
    experiment, train = Experiment.read(chosen.config), Shards.open(chosen.out / "shards" / "train")
    racing = {n: contestant(experiment, train, n, chosen.precision) for n in chosen.users}
    taken: dict[int, list[float]] = {n: [] for n in racing}
    for number in range(chosen.rounds + 1):
        for users, (step, batches) in racing.items():
            start = time.perf_counter()
            for batch in batches:
                step(batch)
            if number:
                taken[users].append((time.perf_counter() - start) / len(batches))
    least = taken[chosen.users[0]]
    print(f"| users, {chosen.precision} | ms a step | ratio to {chosen.users[0]:,} (least to most) |")
    print("|---|---|---|")
    for users, found in taken.items():
        ratios = [a / b for a, b in zip(found, least, strict=True)]
        print(f"| {users:,} | {statistics.median(found) * 1e3:.1f} | {statistics.median(ratios):.2f} "
              f"({min(ratios):.2f} to {max(ratios):.2f}) |")


if __name__ == "__main__":
    main()
