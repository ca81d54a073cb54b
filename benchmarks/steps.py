"""Training steps at a setting of one's choice, on batches from the shards, taken in turns."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

import torch

from recmtl.batch import Batch
from recmtl.data.loader import Loader
from recmtl.data.shards import Shards
from recmtl.experiment import Experiment
from recmtl.heads import head_of
from recmtl.learn.group import ALONE
from recmtl.learn.optim import build_optimizers
from recmtl.learn.step import Losses, Objective, make_step, parameters
from recmtl.learn.tasks import keep, statistics
from recmtl.model.multitask import MultiTask, build_model

USER = "user_id"


@dataclass(frozen=True)
class Case:
    """A model, its training step and batches for it."""

    model: MultiTask
    step: Callable[[Batch], Losses]
    batches: list[Batch]
    dtype: torch.dtype

    def turn(self) -> float:
        """Take a step on each batch; seconds a step."""
        start = time.perf_counter()
        for batch in self.batches:
            self.step(batch)
        return (time.perf_counter() - start) / len(self.batches)


def make_case(
    experiment: Experiment, train: Shards, model: str, precision: str, *, users: int = 0, count: int = 2
) -> Case:
    """`count` batches. With `users` the user's table has so many more rows, in which a batch's users lie.

    They are drawn evenly, so that hardly one comes twice: no cache helps, which is harder than a log is.
    """
    config, tasks, layout = experiment.models[model], experiment.tasks, train.layout
    place = next(i for i, slot in enumerate(layout.slots) if slot.name == USER)
    width = layout.slots[place].width
    first = layout.tables[width]
    torch.manual_seed(1)
    wider = replace(layout, tables={**layout.tables, width: first + users})
    labels = {name: train.labels(name) for name in layout.labels}
    heads = {task: head_of(tasks[task], loss) for task, loss in config.loss.items()}
    known = keep(statistics(tasks, labels, train.weight), heads, labels, layout, train.dense)
    built = build_model(config, experiment.embedding, wider, tasks, known)
    objective = Objective(tasks, config.loss, known)
    settings = experiment.train.model_copy(update={"precision": precision})
    step = make_step(
        built, objective, build_optimizers(*parameters(built), settings), settings, ALONE
    )
    batches = list(islice(Loader(train, settings.batch_size, seed=1).batches(1), count))
    for batch in batches if users else ():
        batch.rows[:, place] = first + torch.randint(users, (len(batch),), dtype=batch.rows.dtype)
    return Case(built, step, batches, torch.bfloat16 if precision == "bf16" else torch.float32)
