"""DBMTL against its formula, written in numpy, and which tasks may stand before which."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from recmtl.model.relation import DBMTL
from recmtl.schema import Task
from recmtl.schema.losses import CrossEntropy
from recmtl.suite.made_up import TASKS, make_batch
from tests.model.by_hand import ROWS, drawn, embedded, network

FUNNEL = ("ctr", "cart", "ctcvr")
GRAPH = {"ctcvr": ("cart", "ctr"), "cart": ("ctr",)}  # the last one first: its order does not count
BATCH = make_batch(ROWS)
Before = Mapping[str, tuple[str, ...]]


@pytest.mark.parametrize("hidden", [(), (4,)])
def test_a_tower_reads_a_network_of_its_view_and_of_what_each_task_before_it_gives(
    hidden: tuple[int, ...]
) -> None:
    module, w = drawn(DBMTL(before=GRAPH, hidden=hidden).build(6, TASKS))
    assert {name: weight.shape for name, weight in w.items() if name.endswith(".0.weight")} == {
        f"networks.{task}.0.weight": ((*hidden, 6)[0], 6 * blocks)
        for task, blocks in (("ctr", 1), ("cart", 2), ("ctcvr", 3))
    }
    views = embedded((*FUNNEL, "minutes"), "per_task").views
    x = {task: view.numpy() for task, view in views.items()}
    z = {"ctr": network(w, "networks.ctr", x["ctr"])}
    z["cart"] = network(w, "networks.cart", np.hstack([x["cart"], z["ctr"]]))
    z["ctcvr"] = network(w, "networks.ctcvr", np.hstack([x["ctcvr"], z["cart"], z["ctr"]]))
    found = module.transfer(views, BATCH)
    assert module.outputs == 6 and found["minutes"] is views["minutes"]
    for task in FUNNEL:
        np.testing.assert_allclose(found[task].detach(), z[task], atol=1e-12)
    raw = {task: view[:, 0] for task, view in found.items()}
    assert module.relate(raw, found, BATCH).raw is raw


def test_the_gradient_goes_from_a_task_to_all_before_it() -> None:
    module, _ = drawn(DBMTL(before=GRAPH, hidden=(4,)).build(6, TASKS))
    views = embedded(FUNNEL, "per_task").views
    leaves = [x.requires_grad_() for x in (*views.values(), *module.parameters())]
    assert len(leaves) == 3 + 3 * 4
    assert torch.autograd.gradcheck(lambda *_: tuple(module.transfer(views, BATCH).values()), leaves)
    for place, task in enumerate(FUNNEL):
        z = module.transfer(views, BATCH)[task]
        gradients = torch.autograd.grad(z.sum(), list(views.values()), allow_unused=True)
        assert [g is not None for g in gradients] == [earlier <= place for earlier in range(3)]


@pytest.mark.parametrize(("before", "reason"), [
    ({}, "relation.before: of one task or more those before it"),
    ({"ctcvr": ()}, "relation.before.ctcvr: one task or more, each once, not []"),
    ({"ctcvr": ("ctr", "ctr")}, "relation.before.ctcvr: one task or more, each once, not ['ctr', 'ctr']"),
    ({"ctcvvr": ("ctr",)}, "relation.before names no task 'ctcvvr'; did you mean 'ctcvr'?"),
    ({"ctcvr": ("ctrr",)}, "relation.before names no task 'ctrr'; did you mean 'ctr'?"),
    ({"ctcvr": ("ctr", "like")}, "relation.before: 'like' has no loss"),
    ({"like": ("ctr",)}, "relation.before: 'like' has no loss"),
    ({"ctr": ("ctr",)}, "relation.before goes in a circle, ctr → ctr"),
    ({"cvr": ("ctr",), "ctcvr": ("cvr",), "ctr": ("ctcvr",)}, "relation.before goes in a circle, "),
])
def test_what_is_no_graph_of_tasks_with_a_loss_is_refused(before: Before, reason: str) -> None:
    tasks = {**TASKS, "like": Task(label="like")}
    losses = dict.fromkeys(TASKS, CrossEntropy())
    refused = DBMTL(before=before).refusal(tasks, losses)
    assert refused is not None and refused.startswith(reason)


def test_a_task_of_any_label_space_may_stand_before_another() -> None:
    before = {"cvr": ("ctr",), "minutes": ("ctr", "cvr"), "ctcvr": ("minutes",)}
    assert DBMTL(before=before).refusal(TASKS, dict.fromkeys(TASKS, CrossEntropy())) is None
