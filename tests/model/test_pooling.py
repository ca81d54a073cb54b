"""Target attention against its formula, written in numpy, and its gradients through the tables."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional as F

from recmtl.batch import Batch, Ragged
from recmtl.errors import RecmtlError
from recmtl.learn.group import ALONE
from recmtl.learn.optim import build_optimizers
from recmtl.learn.settings import TrainConfig
from recmtl.learn.step import Objective, make_step, parameters
from recmtl.learn.tasks import statistics
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.multitask import MultiTask, build_model
from recmtl.model.pooling import TargetAttention, refusal
from recmtl.suite.made_up import LAYOUT, TASKS, make_batch, permute
from tests.model.by_hand import Array, Weights, drawn, network, softmax

LOSS = {"ctr": 1.0, "cvr": 1.0}
POOLING = {"history": {"target": "item"}, "tags": {"target": "place", "softmax": True}}


def model_of(pooling: dict[str, Any], tables: str = "shared", **options: object) -> MultiTask:
    torch.manual_seed(0)
    sharing = {"kind": "cgc" if tables == "both" else "mmoe", "hidden": [6]}
    config = ModelConfig.model_validate(
        {"sharing": sharing, "tables": tables, "loss": LOSS, "pooling": pooling, **options}
    )
    return build_model(config, EmbeddingConfig(width=4, init=0.5), LAYOUT, TASKS)


def pooled(w: Weights, values: list[Array], target: Array, normalised: bool) -> Array:
    """Of one row, by the words of the paper."""
    if not values:
        return np.zeros_like(target)
    found = []
    for v in values:
        x = np.concatenate([v, target, v - target, v * target])[None]
        found.append((network(w, "hidden", x) @ w["head.weight"].T + w["head.bias"])[0, 0])
    weights = softmax(np.array([found]))[0] if normalised else np.array(found)
    return sum((a * v for a, v in zip(weights, values, strict=True)), np.zeros_like(target))


@pytest.mark.parametrize("normalised", [False, True])
def test_a_list_is_pooled_by_its_target(normalised: bool) -> None:
    unit, w = drawn(TargetAttention(target="item", hidden=(5, 3), softmax=normalised).build(2))
    values, targets = torch.randn(6, 2).double(), torch.randn(4, 2).double()
    offsets = torch.tensor([0, 2, 2, 5, 6])
    found = unit(values, Ragged(torch.zeros(6), offsets), targets).detach().numpy()
    for row, target in enumerate(targets.numpy()):
        own = list(values[offsets[row] : offsets[row + 1]].numpy())
        np.testing.assert_allclose(found[row], pooled(w, own, target, normalised), atol=1e-9)
    assert (found[1] == 0).all()


@pytest.mark.parametrize("normalised", [False, True])
def test_gradients(normalised: bool) -> None:
    unit, _ = drawn(TargetAttention(target="item", hidden=(3,), softmax=normalised).build(2))
    values, targets = (torch.randn(n, 2).double().requires_grad_() for n in (5, 4))
    lists = Ragged(torch.zeros(5), torch.tensor([0, 3, 3, 4, 5]))
    leaves = [values, targets, *unit.parameters()]
    assert torch.autograd.gradcheck(lambda v, t, *_: unit(v, lists, t), leaves)


@pytest.mark.parametrize("normalised", [False, True])
def test_room_beyond_the_lists_is_no_part_of_them(normalised: bool) -> None:
    """Nor where the last row's list is empty: what stands there has no gradient either."""
    unit, _ = drawn(TargetAttention(target="item", softmax=normalised).build(2))
    values, targets = torch.randn(5, 2).double().requires_grad_(), torch.randn(3, 2).double()
    offsets = torch.tensor([0, 1, 3, 3])
    found = unit(values, Ragged(torch.zeros(5), offsets), targets)
    wanted = unit(values[:3], Ragged(torch.zeros(3), offsets), targets)
    torch.testing.assert_close(found, wanted)
    found.sum().backward()
    assert values.grad is not None and values.grad.isfinite().all() and (values.grad[3:] == 0).all()


def plain_view(model: MultiTask, batch: Batch, tables: dict[str, Tensor], copy: int) -> Tensor:
    """A copy's view by torch's own indexing, whose gradient of a table is dense."""
    parts, layout = {}, model.embedding.layout
    for i, slot in enumerate(layout.slots):
        own = slice(copy * slot.width, (copy + 1) * slot.width)
        parts[slot.name] = tables[str(slot.width)][batch.rows[:, i].long()][:, own]
    for place, name in enumerate(("history", "tags")):
        ragged, slot = batch.lists[name], layout.lists[place]
        own = slice(copy * slot.width, (copy + 1) * slot.width)
        values = tables[str(slot.width)][ragged.values.long()][:, own]
        each = values.split(ragged.offsets.diff().tolist())
        if name not in model.embedding.pooled.names:
            parts[name] = torch.stack([v.mean(0) if len(v) else v.sum(0) for v in each])
            continue
        unit = model.embedding.pooled.units[
            model.embedding.pooled.names.index(name) * model.embedding.copies + copy
        ]
        target = parts[{"history": "item", "tags": "place"}[name]]
        rows = []
        for t, v in zip(target, each, strict=True):
            x = torch.cat([v, t.expand_as(v), v - t, v * t], 1)
            for layer in unit.hidden:
                x = F.linear(x, layer.weight, layer.bias).relu()
            a = F.linear(x, unit.head.weight, unit.head.bias)[:, 0]
            rows.append(((a.softmax(0) if unit.softmax else a).unsqueeze(1) * v).sum(0))
        parts[name] = torch.stack(rows)
    return torch.cat([parts[name] for name in model.embedding.columns.slices if name in parts]
                     + [batch.dense.to(parts["item"].dtype)], 1)


@pytest.mark.parametrize("names", [["history"], ["tags"], ["history", "tags"]])
@pytest.mark.parametrize("tables", ["shared", "per_task", "both"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_views_and_sparse_gradients_are_those_of_plain_indexing(
    dtype: torch.dtype, tables: str, names: list[str]
) -> None:
    """In fp32 by the loops in C++ where they are compiled, in fp64 by torch's operators."""
    model, batch = model_of({name: POOLING[name] for name in names}, tables).to(dtype), make_batch(40)
    batch = replace(batch, dense=batch.dense.to(dtype))
    leaves = {w: t.detach().clone().requires_grad_() for w, t in model.embedding.tables.items()}
    embedded = model.embedding(batch)
    copies = [*dict.fromkeys((*embedded.views.values(), embedded.shared))]
    found = [view for view in copies if view is not None]
    wanted = [plain_view(model, batch, leaves, copy) for copy in range(model.embedding.copies)]
    weight = torch.randn(wanted[0].shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    for view, plain in zip(found, wanted, strict=True):
        torch.testing.assert_close(view, plain, **tolerance)
    (torch.stack(found) * weight).sum().backward()
    (torch.stack(wanted) * weight).sum().backward()
    for width, table in model.embedding.tables.items():
        assert table.grad.is_sparse
        rows = table.grad._indices()[0]
        assert (rows.diff() > 0).all() and len(rows) < len(table)
        torch.testing.assert_close(table.grad.to_dense(), leaves[width].grad, **tolerance)


@pytest.mark.parametrize("tables", ["shared", "per_task", "both"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_trains_scores_and_every_parameter_gets_a_gradient(precision: str, tables: str) -> None:
    model, batch = model_of(POOLING, tables).train(), make_batch(64)
    known = statistics(TASKS, {n: t.numpy() for n, t in batch.labels.items()}, np.ones(64))
    config = TrainConfig.model_validate(
        {"monitor": "auc_valid/ctr", "precision": precision, "learning_rate": 0.02}
    )
    aim = Objective(TASKS, LOSS, known)
    step = make_step(model, aim, build_optimizers(*parameters(model), config), config, ALONE)
    totals = [float(aim.total(step(batch))) for _ in range(8)]
    assert totals[-1] < totals[0]
    # What is added to all logits of a softmax changes nothing: its gradient is 0 but for rounding.
    units = enumerate(model.embedding.pooled.units)
    without_effect = {f"embedding.pooled.units.{n}.head.bias" for n, unit in units if unit.softmax}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
        assert torch.isfinite(gradient).all(), name
        assert gradient.abs().sum() > 0 or name in without_effect, name
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        raw = model.eval()(batch).raw["ctr"]
        torch.testing.assert_close(model(permute(batch, order)).raw["ctr"], raw[order])
        torch.testing.assert_close(model(permute(batch, order[:1])).raw["ctr"], raw[order[:1]])
        with torch.autocast("cpu", torch.bfloat16):
            half = model.with_bf16_layers()(batch).raw["ctr"]
        torch.testing.assert_close(half, raw, rtol=0.0, atol=0.2)


def wanted_batch(rows: int, seed: int) -> Batch:
    """Clicks on items that stand in the row's history, of eight of them, and on no others."""
    g = torch.Generator().manual_seed(seed)
    history = torch.randint(3, 12, (rows, 8), generator=g)
    item = torch.where(torch.rand(rows, generator=g) < 0.5, history[:, 3],
                       torch.randint(3, 12, (rows,), generator=g))
    plain = make_batch(rows, seed)
    plain.rows[:, 0] = item.int()
    lists = {**plain.lists, "history": Ragged(history.flatten().int(), torch.arange(rows + 1) * 8)}
    return replace(plain, lists=lists, labels={"click": (history == item[:, None]).any(1).float()})


def test_it_learns_whether_a_list_holds_its_target() -> None:
    """A truth that the mean of a list hides from so small a network."""
    train, test = wanted_batch(2048, 1), wanted_batch(2048, 2)
    config = TrainConfig(monitor="auc_valid/ctr", learning_rate=0.03)
    tasks = {"ctr": TASKS["ctr"]}
    known = statistics(tasks, {n: t.numpy() for n, t in train.labels.items()}, np.ones(2048))
    found = {}
    for name, pooling in (("averaged", {}), ("attended", {"history": {"target": "item"}})):
        model = model_of(pooling, sharing={"kind": "shared_bottom", "hidden": [8]}, loss={"ctr": 1.0})
        aim = Objective(tasks, {"ctr": 1.0}, known)
        step = make_step(model, aim, build_optimizers(*parameters(model), config), config, ALONE)
        for _ in range(60):
            step(train)
        with torch.no_grad():
            found[name] = roc_auc_score(test.labels["click"], model.eval()(test).raw["ctr"])
    assert found["attended"] > 0.9 and found["averaged"] < 0.7


def test_a_batch_whose_lists_are_all_empty() -> None:
    model, batch = model_of(POOLING), make_batch(3)
    none = Ragged(torch.empty(0, dtype=torch.int32), torch.zeros(4, dtype=torch.long))
    batch = replace(batch, lists=dict.fromkeys(batch.lists, none))
    view = model.embedding(batch).views["ctr"]
    for name in POOLING:
        assert (view[:, model.embedding.columns.slices[name]] == 0).all()
    model(batch).raw["ctr"].sum().backward()
    assert all(torch.isfinite(table.grad.to_dense()).all() for table in model.embedding.tables.values())


def test_other_columns_and_models_without_it_are_as_before() -> None:
    batch, averaged = make_batch(9), model_of({})
    attended = model_of({"history": POOLING["history"]})
    with torch.no_grad():
        for ours, theirs in zip(averaged.embedding.tables.values(), attended.embedding.tables.values(),
                                strict=True):
            theirs.copy_(ours)
    plain, found = averaged.embedding(batch).shared, attended.embedding(batch).shared
    place = averaged.embedding.columns.slices["history"]
    assert averaged.embedding.columns == attended.embedding.columns
    assert not torch.equal(plain[:, place], found[:, place])
    plain[:, place] = found[:, place] = 0
    assert torch.equal(plain, found)
    assert set(deepcopy(averaged).state_dict()) < set(attended.state_dict())


def test_what_cannot_be_pooled_is_refused_by_name() -> None:
    def of(name: str, target: str) -> str | None:
        return refusal({name: TargetAttention(target=target)}, {"recent": 16, "tags_*": 8},
                       {"item": 16, "place": 8})

    assert of("recent", "item") is None and of("tags_1", "place") is None
    assert of("recnt", "item") == "pooling: no list 'recnt' among the features; did you mean 'recent'?"
    assert "pooling.recent.target: no feature 'itm' of one embedding a row" in str(of("recent", "itm"))
    assert "pooling.recent.target: no feature 'recent'" in str(of("recent", "recent"))
    assert "its embeddings have 16 columns, those of its target 'place' 8" in str(of("recent", "place"))
    with pytest.raises(RecmtlError, match="pooling: no list 'item' among the features"):
        model_of({"item": {"target": "user"}})
