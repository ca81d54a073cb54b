"""A made-up layout, tasks over it and batches of it, for tests of models and of learning."""

import torch

from recmtl.batch import Batch, Layout, Ragged, Slot
from recmtl.schema import Task

TASKS = {
    "ctr": Task(label="click"),
    "cvr": Task(label="converted", given="click"),
    "ctcvr": Task(label="converted", product=("ctr", "cvr")),
    "minutes": Task(label="minutes", type="regression", given="click"),
}

LAYOUT = Layout(
    slots=(Slot("item", 4, 0, 12), Slot("user", 4, 12, 20), Slot("place", 8, 0, 9)),
    lists=(Slot("history", 4, 0, 12), Slot("tags", 8, 9, 7)),
    dense={"age": 2, "picture": 3},
    tables={4: 32, 8: 16},
    labels=("click", "converted", "minutes"),
)


def make_batch(rows: int, seed: int = 0) -> Batch:
    """`rows` random impressions; a conversion only with a click, minutes only where clicked."""
    g = torch.Generator().manual_seed(seed)
    slots = [s.first + torch.randint(s.size, (rows,), generator=g) for s in LAYOUT.slots]
    lists = {}
    for slot in LAYOUT.lists:
        lengths = torch.randint(0, 4, (rows,), generator=g)
        offsets = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
        values = slot.first + torch.randint(slot.size, (int(offsets[-1]),), generator=g)
        lists[slot.name] = Ragged(values.int(), offsets)
    click = (torch.rand(rows, generator=g) < 0.5).float()
    converted = click * (torch.rand(rows, generator=g) < 0.5)
    minutes = torch.where(click == 1, 3 + torch.randn(rows, generator=g), torch.nan)
    return Batch(
        rows=torch.stack(slots, 1).int(),
        dense=torch.randn(rows, 5, generator=g),
        lists=lists,
        labels={"click": click, "converted": converted, "minutes": minutes},
        weight=torch.ones(rows),
        origin=torch.stack([torch.zeros(rows), torch.arange(rows)], 1).int(),
    )


def permute(batch: Batch, order: torch.Tensor) -> Batch:
    """The same rows in another order, or some of them, or none."""
    lists = {}
    for name, ragged in batch.lists.items():
        pieces = [ragged.values[ragged.offsets[i]:ragged.offsets[i + 1]] for i in order.tolist()]
        lengths = torch.tensor([len(p) for p in pieces], dtype=torch.long)
        lists[name] = Ragged(
            torch.cat([ragged.values[:0], *pieces]),
            torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)]),
        )
    return Batch(
        rows=batch.rows[order], dense=batch.dense[order], lists=lists,
        labels={n: t[order] for n, t in batch.labels.items()},
        weight=batch.weight[order], origin=batch.origin[order],
        together=None if batch.together is None else batch.together[order],
    )
