"""Gradients of single tasks against autograd's of the whole model, made dense; tables stay sparse."""

import pytest
import torch
from torch import Tensor

from recmtl.batch import Layout, Output
from recmtl.errors import RecmtlError
from recmtl.learn.group import ALONE, Group
from recmtl.learn.step import Objective, parameters
from recmtl.learn.task_gradients import TaskGradients
from recmtl.learn.tasks import TaskStatistics
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.multitask import MultiTask, build_model
from recmtl.seed import seed_everything
from recmtl.suite.made_up import LAYOUT, TASKS, make_batch

LOSS = {"ctr": 1.0, "ctcvr": 2.0, "minutes": 0.5}
FACTORS = [0.7, -0.2, 1.6]
MODELS = {
    "mmoe": {"sharing": {"kind": "mmoe", "experts": 2, "hidden": [6]}},
    "product": {"sharing": {"kind": "separate", "hidden": [6]}, "relation": {"kind": "product"}},
    "stem": {"sharing": {"kind": "stem", "hidden": [6]}},
    "penalty": {"sharing": {"kind": "soft_sharing", "hidden": [6], "strength": 0.1}},
    "own tables": {"sharing": {"kind": "shared_bottom", "hidden": [6]}, "tables": "per_task"},
    "pooled and crossed": {
        "sharing": {"kind": "shared_bottom", "hidden": [6]}, "interaction": {"kind": "dcn_v2"},
        "pooling": {"history": {"kind": "target_attention", "target": "item"}},
    },
}
BATCH = make_batch(32)


def made(name: str) -> tuple[MultiTask, Output, list[Tensor]]:
    """A model in fp64, what it gives for a batch, and weight · loss of each task."""
    config = ModelConfig.model_validate({"towers": {"hidden": [5]}, "loss": LOSS, **MODELS[name]})
    seed_everything(3)
    model = build_model(config, EmbeddingConfig(width=4, init=0.5), LAYOUT, TASKS).double()
    objective = Objective(TASKS, LOSS, dict.fromkeys(TASKS, TaskStatistics(1, 0.5, 0.5, 1.0)))
    output = model(BATCH)
    return model, output, objective.weighted(objective.losses(output, BATCH))


def dense_gradients(model: MultiTask, total: Tensor) -> dict[str, Tensor]:
    """Every parameter's gradient, dense; zeros where there is none."""
    named = dict(model.named_parameters())
    found = torch.autograd.grad(total, list(named.values()), retain_graph=True, allow_unused=True)
    return {
        name: torch.zeros_like(named[name]) if gradient is None else gradient.to_dense()
        for name, gradient in zip(named, found, strict=True)
    }


def pieces(model: MultiTask, name: str, gradient: Tensor) -> tuple[Tensor, ...]:
    """The copies of a table, side by side in it; any other parameter whole."""
    return gradient.chunk(model.embedding.copies if name.startswith("embedding.tables") else 1, dim=-1)


def weighted(place: tuple[Tensor, ...], factors: list[float]) -> Tensor:
    """Σ factor · gradient where two tasks or more have one, Σ gradient elsewhere."""
    shared = sum(bool(gradient.any()) for gradient in place) > 1
    return sum((f * g for f, g in zip(factors if shared else [1.0] * len(place), place, strict=True)),
               torch.zeros_like(place[0]))


@pytest.mark.parametrize("name", MODELS)
def test_factors_weigh_what_tasks_share_and_nothing_else(name: str) -> None:
    model, output, losses = made(name)
    penalties = list(output.penalties.values())
    assert bool(penalties) == (name == "penalty")
    apart = [dense_gradients(model, loss) for loss in losses]
    rest = dense_gradients(model, torch.stack([losses[0] * 0.0, *penalties]).sum())
    trained = parameters(model)
    gradients = TaskGradients(losses, output.embedded, trained)
    gradients.backward(list(torch.tensor(FACTORS, dtype=torch.float64)), penalties, ALONE)
    assert all(table.grad is not None and table.grad.is_sparse for table in trained[0])
    for parameter, found in model.named_parameters():
        places = zip(*(pieces(model, parameter, task[parameter]) for task in apart), strict=True)
        expected = torch.cat([weighted(place, FACTORS) for place in places], dim=-1) + rest[parameter]
        assert found.grad is not None
        torch.testing.assert_close(found.grad.to_dense(), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["mmoe", "product", "stem"])
def test_products_at_features_are_those_of_what_sharings_read(name: str) -> None:
    """All views that two tasks or more read, side by side."""
    model, output, losses = made(name)
    per_view = [torch.autograd.grad(loss, output.embedded, retain_graph=True, allow_unused=True)
                for loss in losses]
    read = [view for view in range(len(output.embedded))
            if sum(task[view] is not None and bool(task[view].any()) for task in per_view) > 1]
    rows = torch.stack([torch.cat([task[view].flatten() for view in read]) for task in per_view])
    assert len(output.embedded) == (4 if name == "stem" else 1)
    gradients = TaskGradients(losses, output.embedded, parameters(model))
    found = gradients.gramian("features", ALONE)
    torch.testing.assert_close(found, rows @ rows.t(), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", ["mmoe", "product", "stem", "own tables", "pooled and crossed"])
def test_products_at_parameters_are_those_of_what_two_tasks_move(name: str) -> None:
    model, output, losses = made(name)
    tasks = [dense_gradients(model, loss) for loss in losses]
    rows: list[list[Tensor]] = [[] for _ in tasks]
    for parameter in tasks[0]:
        for place in zip(*(pieces(model, parameter, task[parameter]) for task in tasks), strict=True):
            if sum(bool(gradient.any()) for gradient in place) > 1:
                for row, gradient in zip(rows, place, strict=True):
                    row.append(gradient.flatten())
    expected = torch.stack([torch.cat(row) for row in rows])
    gradients = TaskGradients(losses, output.embedded, parameters(model))
    found = gradients.gramian("parameters", ALONE)
    torch.testing.assert_close(found, expected @ expected.t(), rtol=1e-6, atol=1e-12)


def test_a_model_without_tables_is_weighed_by_its_parameters() -> None:
    layout = Layout((), (), LAYOUT.dense, {}, LAYOUT.labels)
    config = ModelConfig.model_validate({"loss": LOSS, **MODELS["mmoe"]})
    model = build_model(config, EmbeddingConfig(), layout, TASKS)
    objective = Objective(TASKS, LOSS, dict.fromkeys(TASKS, TaskStatistics(1, 0.5, 0.5, 1.0)))
    output = model(BATCH)
    losses = objective.weighted(objective.losses(output, BATCH))
    gradients = TaskGradients(losses, output.embedded, parameters(model))
    assert (gradients.gramian("parameters", ALONE).diagonal() > 0).all()
    gradients.backward([torch.tensor(1.0)] * 3, [], ALONE)
    expected = dense_gradients(model, torch.stack(losses).sum())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-6)


def test_parameters_of_several_processes_are_refused() -> None:
    model, output, losses = made("mmoe")
    gradients = TaskGradients(losses, output.embedded, parameters(model))
    with pytest.raises(RecmtlError, match="each process has a part"):
        gradients.gramian("parameters", Group(0, 2))
