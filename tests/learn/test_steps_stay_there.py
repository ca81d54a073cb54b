"""A step that is recorded on a GPU sends it nothing and asks nothing back: shown without one.

Sharing, towers, relation, heads and losses run on torch's `meta` device, where tensors have no values:
what mixes it with the CPU's tensors, or looks at a value, is what a recording refuses.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from recmtl.batch import Batch, Embedded
from recmtl.kernels import table
from recmtl.learn.step import Objective
from recmtl.model import ModelConfig, embedding
from recmtl.model.interaction import Interaction
from recmtl.model.multitask import MultiTask
from recmtl.schema import Task
from recmtl.suite import checks
from recmtl.suite.made_up import TASKS, make_batch
from tests.heads import made_up as heads

META = torch.device("meta")
SENT_OR_ASKED = {
    torch.tensor, torch.as_tensor, torch.nonzero, Tensor.new_tensor, Tensor.item, Tensor.tolist,
    Tensor.__bool__, Tensor.__float__, Tensor.__int__, Tensor.nonzero, Tensor.cpu, Tensor.numpy,
}
INDEPENDENT: dict[str, Any] = {"kind": "independent"}


class InPython(TorchFunctionMode):
    """Python's numbers made a tensor, places of a list, values that are looked at."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        assert func not in SENT_OR_ASKED, f"{func.__name__} in a step"
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            places = args[1] if isinstance(args[1], tuple) else (args[1],)
            assert not any(isinstance(place, list | range) for place in places), f"places {places}"
        return func(*args, **(kwargs or {}))


class BelowPython(TorchDispatchMode):
    """Operators that read the CPU's tensors and there ones; single numbers go with a launch."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        given, made = ([t for t in tree_leaves(tree) if isinstance(t, Tensor)]
                       for tree in ((args, kwargs), out))
        here = [tuple(t.shape) for t in given if t.device.type == "cpu" and t.dim()]
        assert not (here and any(t.is_meta for t in (*given, *made))), f"{func} of {here} on CPU"
        return out


class Views(nn.Module):
    """An embedding's views of a batch, as they would lie on a GPU."""

    def __init__(self, embedding: nn.Module, batch: Batch) -> None:
        super().__init__()
        found: Embedded = embedding(batch)
        there = {id(v): v.detach().to(META).requires_grad_() for v in found.distinct}
        shared = None if found.shared is None else there[id(found.shared)]
        self.embedded = Embedded({task: there[id(v)] for task, v in found.views.items()}, shared)

    def forward(self, batch: Batch) -> Embedded:
        return self.embedded


@pytest.fixture(autouse=True)
def meta_is_as_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rows that are read are not merged. It has no autocast, and torch refuses to say so."""
    for module in (table, embedding):
        monkeypatch.setattr(module, "adds_up", lambda *gradients: True)
    autocast, enabled = torch.autocast, torch.is_autocast_enabled
    def maybe(kind: str, *options: Any, **more: Any) -> Any:
        return nullcontext() if kind == "meta" else autocast(kind, *options, **more)

    monkeypatch.setattr(torch, "autocast", maybe)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: kind != "meta" and enabled(kind))


def stays_there(model: MultiTask, aim: Objective, batch: Batch) -> None:
    model.embedding = Views(model.train().embedding, batch)  # type: ignore[assignment]
    model.to(META)
    there = batch.to(META)

    def step() -> None:
        output = model(there)
        aim.total({**aim.losses(output, there), **output.penalties}).backward()

    step()  # constants are sent once: a recording comes after some steps
    with InPython(), BelowPython():
        step()


def of_parts(config: ModelConfig) -> None:
    batch = make_batch(64)
    stays_there(checks.made(config), Objective(TASKS, config.loss, checks.on_batch(batch)), batch)


OPTIONS = [
    {"kind": "mmoe", "balance": 0.1, "gate_dropout": 0.2}, {"kind": "cgc", "balance": 0.1},
    {"kind": "shared_bottom", "dropout": 0.1},
    {"kind": "pepnet", "domain": ["item"], "prior": ["user", "age"]},
]
CASES = [*checks.cases(relations=[INDEPENDENT]), *checks.cases([{"kind": "mmoe"}]),
         *checks.cases(OPTIONS, [INDEPENDENT])]


@pytest.mark.parametrize("config", CASES, ids=checks.named)
def test_of_every_sharing_and_relation(config: ModelConfig) -> None:
    of_parts(config)


@pytest.mark.parametrize("tables", ["per_task", "both"])
def test_of_tables_of_tasks(tables: str) -> None:
    kind = "stem" if tables == "both" else "mmoe"
    config = checks.settings({"kind": kind}, INDEPENDENT, "all_rows")
    of_parts(ModelConfig.model_validate({**config.model_dump(), "tables": tables}))


@pytest.mark.parametrize("kind", checks.kinds(Interaction))
def test_of_every_interaction(kind: str) -> None:
    of_parts(checks.settings({"kind": "mmoe"}, INDEPENDENT, "all_rows", {"kind": kind}))


@pytest.mark.parametrize("task", heads.TASKS.values(), ids=heads.TASKS)
def test_of_every_head(task: Task) -> None:
    batch = heads.batch_of(64)
    aim = heads.objective_of(task, batch)
    stays_there(heads.model_of(task, aim), aim, batch)


def test_a_part_that_sends_places_or_looks_at_values_is_found() -> None:
    class Sending(nn.Module):
        def __init__(self, does: Callable[[Tensor], Tensor]) -> None:
            super().__init__()
            self.does = does

        def forward(self, embedded: Embedded) -> Embedded:
            return Embedded({task: self.does(view) for task, view in embedded.views.items()})

    here = torch.arange(3)
    for does in (
        lambda view: view * view[:, [0]], lambda view: view * view.new_tensor([2.0]),
        lambda view: view * view[:, here].sum(), lambda view: view * float(view.sum() > 0),
    ):
        config = checks.settings({"kind": "mmoe"}, INDEPENDENT, "all_rows")
        model, batch = checks.made(config), make_batch(8)
        model.interaction = Sending(does)  # type: ignore[assignment]
        with pytest.raises((AssertionError, RuntimeError)):
            stays_there(model, Objective(TASKS, config.loss, checks.on_batch(batch)), batch)
