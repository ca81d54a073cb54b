"""A classifier chain against its formula, written in numpy: with labels, without, and in scoring."""

from dataclasses import replace

import numpy as np
import torch

from recmtl.batch import Batch
from recmtl.model.relation import ClassifierChain
from recmtl.schema import Task
from recmtl.schema.losses import CrossEntropy
from recmtl.suite.made_up import make_batch
from tests.model.by_hand import ROWS, Array, drawn, embedded, sigmoid

TASKS = {name: Task(label=f"has_{name}") for name in ("ctr", "cart", "ctcvr")}
NULL = float("nan")
LABELS = {"has_ctr": [1.0, 0.0, NULL, 1.0, NULL], "has_cart": [0.0, NULL, 1.0, NULL, NULL]}
BATCH = replace(make_batch(ROWS), labels={
    name: torch.tensor(label, dtype=torch.float64) for name, label in LABELS.items()
})
BARE = replace(BATCH, labels={})


def raw_outputs() -> dict[str, torch.Tensor]:
    views = embedded(tuple(TASKS), "per_task").views
    return {task: view[:, 0].clone().requires_grad_() for task, view in views.items()}


def by_hand(raw: dict[str, Array], w: Array, labels: dict[str, list[float]]) -> dict[str, Array]:
    def outcome(task: str) -> Array:
        label = np.array(labels.get(f"has_{task}", [NULL] * ROWS))
        return np.where(np.isnan(label), sigmoid(found[task]), label)

    found = {"ctr": raw["ctr"]}
    found["cart"] = raw["cart"] + w[0] * outcome("ctr")
    found["ctcvr"] = raw["ctcvr"] + w[1] * outcome("cart")
    return found


def test_outcomes_are_labels_where_known_in_training_and_probabilities_elsewhere() -> None:
    module, w = drawn(ClassifierChain(chain=tuple(TASKS)).build(6, TASKS))
    raw = raw_outputs()
    logits = {task: z.detach().numpy() for task, z in raw.items()}
    training = module.train().relate(raw, {}, BATCH).raw
    scoring = module.eval().relate(raw, {}, BARE).raw
    labelled = module.relate(raw, {}, BATCH).raw
    for task in TASKS:
        wanted = by_hand(logits, w["weight"], LABELS)[task]
        np.testing.assert_allclose(training[task].detach(), wanted, atol=1e-12)
        wanted = by_hand(logits, w["weight"], {})[task]
        np.testing.assert_allclose(scoring[task].detach(), wanted, atol=1e-12)
        assert torch.equal(labelled[task], scoring[task])


def test_gradients() -> None:
    module, w = drawn(ClassifierChain(chain=tuple(TASKS)).build(6, TASKS))
    raw = raw_outputs()
    leaves = [*raw.values(), *module.parameters()]

    def outputs(batch: Batch) -> tuple[torch.Tensor, ...]:
        return tuple(module.relate(raw, {}, batch).raw.values())

    module.eval()
    assert torch.autograd.gradcheck(lambda *_: outputs(BARE), leaves)
    found = torch.autograd.grad(outputs_sum(module.train().relate(raw, {}, BATCH).raw), leaves)
    # Where outcomes are data, a raw output counts once, and a weight by the sum of the outcomes.
    related = by_hand({task: z.detach().numpy() for task, z in raw.items()}, w["weight"], LABELS)
    for gradient in found[:3]:
        np.testing.assert_allclose(gradient, np.ones(ROWS), atol=1e-12)
    outcomes = [
        np.where(np.isnan(LABELS[f"has_{task}"]), sigmoid(related[task]), LABELS[f"has_{task}"]).sum()
        for task in ("ctr", "cart")
    ]
    np.testing.assert_allclose(found[3], outcomes, atol=1e-12)


def outputs_sum(raw: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack([z.sum() for z in raw.values()]).sum()


def test_a_fresh_chain_leaves_tasks_independent() -> None:
    raw = raw_outputs()
    related = ClassifierChain(chain=tuple(TASKS)).build(6, TASKS).relate(raw, {}, BATCH)
    assert all(torch.equal(related.raw[task], z) for task, z in raw.items())


def test_a_chain_must_be_one() -> None:
    refused = ClassifierChain().refusal(TASKS, dict.fromkeys(TASKS, CrossEntropy()))
    assert refused is not None and refused.startswith("relation.chain: two tasks or more")
