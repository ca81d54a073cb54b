"""A chain of labels against its formula, written in numpy: with guesses, and with labels in training."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recmtl.model.relation import LabelChain
from recmtl.schema import Task
from recmtl.schema.losses import CrossEntropy
from recmtl.suite.made_up import make_batch
from tests.model.by_hand import ROWS, Array, Weights, drawn, embedded, network, sigmoid

TASKS = {name: Task(label=f"has_{name}") for name in ("ctr", "cart", "ctcvr")}
CHAIN = LabelChain(chain=tuple(TASKS), hidden=(3,))
FORCED = LabelChain(chain=tuple(TASKS), hidden=(3,), labels="true")
NULL = float("nan")
LABELS = {"has_ctr": [1.0, 0.0, NULL, 1.0, NULL], "has_cart": [0.0, NULL, 1.0, NULL, NULL]}
WEIGHT = np.array([1.0, 2.0, 0.5, 0.0, 3.0])
BATCH = replace(make_batch(ROWS), weight=torch.tensor(WEIGHT), labels={
    name: torch.tensor(label, dtype=torch.float64) for name, label in LABELS.items()
})
BARE = replace(BATCH, labels={})


def logit(w: Weights, task: str, z: Array) -> Array:
    hidden = network(w, f"guess.{task}.hidden", z)
    found: Array = hidden @ w[f"guess.{task}.head.weight"][0] + w[f"guess.{task}.head.bias"]
    return found


def by_hand(w: Weights, views: dict[str, Array], labels: dict[str, list[float]]) -> dict[str, Array]:
    z = {"ctr": views["ctr"]}
    for place, (before, task) in enumerate((("ctr", "cart"), ("cart", "ctcvr"))):
        label = np.array(labels.get(f"has_{before}", [NULL] * ROWS))
        y = np.where(np.isnan(label), sigmoid(logit(w, before, z[before])), label)[:, None]
        no, yes = w["embedding"][place]
        z[task] = views[task] + (1 - y) * no + y * yes
    return z


@pytest.mark.parametrize(("options", "read"), [(CHAIN, {}), (FORCED, LABELS)], ids=["guessed", "true"])
def test_a_tower_reads_a_guess_and_where_it_is_forced_and_known_the_label_in_training(
    options: LabelChain, read: dict[str, list[float]]
) -> None:
    module, w = drawn(options.build(6, TASKS))
    views = embedded((*TASKS, "minutes"), "per_task").views
    x = {task: view.numpy() for task, view in views.items()}
    training = module.train().transfer(views, BATCH)
    scoring, labelled = module.eval().transfer(views, BARE), module.transfer(views, BATCH)
    assert module.outputs == 6 and training["minutes"] is views["minutes"]
    for task in TASKS:
        np.testing.assert_allclose(training[task].detach(), by_hand(w, x, read)[task], atol=1e-12)
        np.testing.assert_allclose(scoring[task].detach(), by_hand(w, x, {})[task], atol=1e-12)
        assert torch.equal(labelled[task], scoring[task])


def test_the_penalty_is_the_log_loss_of_the_guesses_where_labels_are_known() -> None:
    module, w = drawn(CHAIN.build(6, TASKS))
    views = embedded(tuple(TASKS), "per_task").views
    z = module.train().transfer(views, BATCH)
    wanted = 0.0
    for task in ("ctr", "cart"):
        y, p = np.array(LABELS[f"has_{task}"]), sigmoid(logit(w, task, z[task].detach().numpy()))
        wanted -= np.nansum(WEIGHT * (y * np.log(p) + (1 - y) * np.log(1 - p))) / ROWS
    raw = {task: view[:, 0] for task, view in z.items()}
    related = module.relate(raw, z, BATCH)
    assert related.raw is raw and related.penalties.keys() == {"guess"}
    assert related.penalties["guess"].item() == pytest.approx(wanted, abs=1e-12)
    assert module.eval().relate(raw, z, BARE).penalties == {}


def test_gradients_of_guesses_are_their_penalty_s_alone_and_of_the_rest_the_tasks() -> None:
    module, _ = drawn(FORCED.build(6, TASKS))
    views = embedded(tuple(TASKS), "per_task").views
    known = {name: torch.nan_to_num(label, 0.3) for name, label in BATCH.labels.items()}
    module.train()
    guesses = list(module.guess.parameters())
    of_tasks = [x.requires_grad_() for x in (*views.values(), module.embedding)]

    def handed(*_: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(module.transfer(views, replace(BATCH, labels=known)).values())

    def penalty(*_: torch.Tensor) -> torch.Tensor:
        return module.relate({}, views, BATCH).penalties["guess"]

    assert torch.autograd.gradcheck(handed, of_tasks)
    assert torch.autograd.gradcheck(penalty, guesses)
    total = torch.stack([z.sum() for z in module.transfer(views, BATCH).values()]).sum()
    assert torch.autograd.grad(total, guesses, allow_unused=True) == (None,) * len(guesses)
    assert torch.autograd.grad(penalty(), of_tasks, allow_unused=True) == (None,) * len(of_tasks)


def test_a_fresh_chain_leaves_tasks_independent() -> None:
    views = embedded(tuple(TASKS), "per_task").views
    found = CHAIN.build(6, TASKS).double().transfer(views, BATCH)
    assert all(torch.equal(found[task], view) for task, view in views.items())


def test_a_chain_must_be_one() -> None:
    refused = LabelChain().refusal(TASKS, dict.fromkeys(TASKS, CrossEntropy()))
    assert refused is not None and refused.startswith("relation.chain: two tasks or more")
