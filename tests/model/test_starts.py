"""Rows of a table that begin with given values, and those among them that keep them."""

import numpy as np
import pytest
import torch
from torch import Tensor

from recmtl.kernels import Reads, library, merge
from recmtl.learn.group import ALONE
from recmtl.learn.optim import build_optimizers
from recmtl.learn.settings import TrainConfig
from recmtl.learn.step import Objective, make_step, parameters
from recmtl.learn.tasks import statistics
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.multitask import MultiTask, build_model
from recmtl.suite.made_up import LAYOUT, TASKS, make_batch

LOSS = {"ctr": 1.0, "cvr": 1.0}
ROWS, GIVEN = torch.tensor([5, 13, 3]), torch.arange(12.0).view(3, 4)  # of items and users


def model_of(tables: str = "shared", pooling: dict[str, object] | None = None) -> MultiTask:
    torch.manual_seed(0)
    config = ModelConfig.model_validate({
        "sharing": {"kind": "cgc" if tables == "both" else "mmoe", "hidden": [6]}, "tables": tables,
        "loss": LOSS, "pooling": pooling or {},
    })
    return build_model(config, EmbeddingConfig(width=4, init=0.5), LAYOUT, TASKS)


def trained(model: MultiTask, steps: int = 5) -> dict[str, Tensor]:
    """The tables after some steps with a decay of what they touch."""
    batch = make_batch(64)
    known = statistics(TASKS, {n: t.numpy() for n, t in batch.labels.items()}, np.ones(64))
    config = TrainConfig(monitor="auc_valid/ctr", table_l2=0.1, weight_decay=0.1)
    optimizers = build_optimizers(*parameters(model), config)
    step = make_step(model, Objective(TASKS, LOSS, known), optimizers, config, ALONE)
    for _ in range(steps):
        step(batch)
    return {width: table.detach().clone() for width, table in model.embedding.tables.items()}


@pytest.mark.parametrize(("tables", "copies"), [("shared", 1), ("per_task", 2), ("both", 3)])
def test_every_copy_begins_with_them_and_other_rows_are_drawn_as_ever(tables: str, copies: int) -> None:
    plain, model = model_of(tables), model_of(tables)
    model.embedding.start(ROWS, GIVEN, frozen=False)
    table, before = model.embedding.tables["4"], plain.embedding.tables["4"]
    assert torch.equal(table[ROWS].view(3, copies, 4), GIVEN.unsqueeze(1).expand(3, copies, 4))
    others = [row for row in range(len(table)) if row not in ROWS.tolist()]
    assert torch.equal(table[others], before[others])
    assert torch.equal(model.embedding.tables["8"], plain.embedding.tables["8"])
    assert model.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("pooling", [{}, {"history": {"target": "item"}}], ids=["averaged", "attended"])
@pytest.mark.parametrize("tables", ["shared", "both"])
def test_frozen_rows_stay_to_the_bit_and_others_learn(
    monkeypatch: pytest.MonkeyPatch, tables: str, pooling: dict[str, object], engine: str
) -> None:
    if engine == "torch":
        monkeypatch.setattr(library, "_library", lambda: None)
    free, model = model_of(tables, pooling), model_of(tables, pooling)
    free.embedding.start(ROWS, GIVEN, frozen=False)
    model.embedding.start(ROWS, GIVEN, frozen=True)
    model.embedding.start(torch.tensor([20]), GIVEN[:1], frozen=False)
    before = {width: table.detach().clone() for width, table in model.embedding.tables.items()}
    moved, after = trained(free), trained(model)
    assert torch.equal(after["4"][ROWS], before["4"][ROWS])
    assert (moved["4"][ROWS] != before["4"][ROWS]).any(1).all()  # the batch does read them
    others = [row for row in range(32) if row not in ROWS.tolist()]
    assert ((after["4"][others] != before["4"][others]).any(1)).sum() > 20
    assert (after["4"][20] != before["4"][20]).any() and not torch.equal(after["8"], before["8"])


def test_a_table_of_which_a_batch_reads_frozen_rows_alone() -> None:
    model = model_of()
    model.embedding.start(torch.arange(32), torch.zeros(32, 4), frozen=True)
    before = model.embedding.tables["4"].detach().clone()
    assert torch.equal(trained(model)["4"], before)


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_merge_leaves_frozen_rows_out(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    if engine == "torch":
        monkeypatch.setattr(library, "_library", lambda: None)
    frozen = torch.tensor([False, False, True, False])
    reads = Reads(1, torch.tensor([[2, 3], [0, 2]]), 0, frozen=frozen)
    rows, values = merge([torch.tensor([[1.0, 10.0], [100.0, 1000.0]])], reads, 4)
    assert rows.tolist() == [0, 3] and values.tolist() == [[100.0], [10.0]]
