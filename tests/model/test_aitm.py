"""AITM against its formulas, written in numpy, and what a chain of it may hold."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recmtl.model.relation import AITM
from recmtl.schema import Task
from recmtl.schema.losses import CrossEntropy
from recmtl.suite.made_up import TASKS, make_batch
from tests.model.by_hand import ROWS, Array, Weights, drawn, embedded, relu, sigmoid, softmax

CHAIN = ("ctr", "cart", "ctcvr")
BATCH = replace(make_batch(ROWS), weight=torch.tensor([1.0, 2.0, 0.5, 0.0, 3.0], dtype=torch.float64))


def attention(w: Weights, task: str, inputs: list[Array]) -> Array:
    maps = w[f"attention.{task}.maps.weight"]
    q, k, v = (maps[i * len(maps) // 3 : (i + 1) * len(maps) // 3] for i in range(3))
    scores = [((u @ q.T) * (u @ k.T)).sum(1) / np.sqrt(len(q)) for u in inputs]
    share = softmax(np.stack(scores, 1))
    return share[:, :1] * (inputs[0] @ v.T) + share[:, 1:] * (inputs[1] @ v.T)


def test_a_tower_reads_what_the_task_before_hands_on() -> None:
    module, w = drawn(AITM(chain=CHAIN).build(6, TASKS))
    views = embedded((*CHAIN, "minutes"), "per_task").views
    z = {"ctr": views["ctr"].numpy()}
    for before, task in (("ctr", "cart"), ("cart", "ctcvr")):
        unit = relu(z[before] @ w[f"information.{before}.0.weight"].T + w[f"information.{before}.0.bias"])
        z[task] = attention(w, task, [unit, views[task].numpy()])
    found = module.transfer(views, BATCH)
    assert module.outputs == 6 and found["minutes"] is views["minutes"]
    for task in CHAIN:
        np.testing.assert_allclose(found[task].detach(), z[task], atol=1e-12)


def test_the_gradient_goes_through_the_chain() -> None:
    module, _ = drawn(AITM(chain=CHAIN).build(6, TASKS))
    views = embedded(CHAIN, "per_task").views
    leaves = [x.requires_grad_() for x in (*views.values(), *module.parameters())]
    assert len(leaves) == 3 + 2 * 3
    assert torch.autograd.gradcheck(lambda *_: tuple(module.transfer(views, BATCH).values()), leaves)


def test_the_calibrator_is_what_a_task_is_likelier_than_the_one_before() -> None:
    module = AITM(chain=CHAIN, calibrator=0.3).build(6, TASKS)
    raw = {task: view[:, 0].clone().requires_grad_()
           for task, view in embedded(CHAIN, "per_task").views.items()}
    p = {task: sigmoid(logit.detach().numpy()) for task, logit in raw.items()}
    above = relu(p["cart"] - p["ctr"]) + relu(p["ctcvr"] - p["cart"])
    assert (above == 0).any() and (above > 0).sum() > 2
    related = module.train().relate(raw, {}, BATCH)
    found = related.penalties["calibrator"]
    assert found.item() == pytest.approx(0.3 * (BATCH.weight.numpy() * above).sum() / ROWS, abs=1e-12)
    assert related.raw is raw and related.weights == {}
    assert torch.autograd.gradcheck(
        lambda *_: module.relate(raw, {}, BATCH).penalties["calibrator"], list(raw.values())
    )
    assert module.eval().relate(raw, {}, BATCH).penalties == {}


@pytest.mark.parametrize(("chain", "reason"), [
    ((), "relation.chain: two tasks or more in their order, each once"),
    (("ctr",), "relation.chain: two tasks or more"),
    (("ctr", "ctcvr", "ctr"), "relation.chain: two tasks or more"),
    (("ctr", "ctcvvr"), "relation.chain names no task 'ctcvvr'; did you mean 'ctcvr'?"),
    (("ctr", "like"), "relation.chain: 'like' has no loss"),
    (("ctr", "seconds"), "relation.chain: 'seconds' is regression, a chain is of binary tasks"),
    (("ctr", "cvr"), "relation.chain: 'cvr' is given 'click', a chain is of tasks on all rows"),
])
def test_what_is_no_chain_is_refused(chain: tuple[str, ...], reason: str) -> None:
    tasks = {**TASKS, "like": Task(label="like"), "seconds": Task(label="seconds", type="regression")}
    losses = dict.fromkeys(("ctr", "cvr", "ctcvr", "seconds"), CrossEntropy())
    refused = AITM(chain=chain).refusal(tasks, losses)
    assert refused is not None and refused.startswith(reason)
