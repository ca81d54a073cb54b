"""ESCM²'s risks against their formulas, written in numpy, their gradients, and what it needs of tasks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from recmtl.batch import Output, Related
from recmtl.learn.step import Objective
from recmtl.learn.tasks import TaskStatistics
from recmtl.model.relation import ESCM2
from recmtl.model.relation.module import RelationModule
from recmtl.schema import Task
from recmtl.schema.losses import CrossEntropy, Focal, LossConfig
from recmtl.suite.made_up import TASKS, make_batch
from tests.model.by_hand import ROWS, Array, Weights, drawn, embedded, network, sigmoid

NULL = float("nan")
CLICK = np.array([1.0, 0.0, 1.0, 0.0, 1.0])
CONVERTED = np.array([1.0, 0.0, 0.0, 0.0, 1.0])
WEIGHT = np.array([1.0, 2.0, 0.5, 1.5, 3.0])
BATCH = replace(
    make_batch(ROWS), weight=torch.from_numpy(WEIGHT),
    labels={"click": torch.from_numpy(CLICK), "converted": torch.from_numpy(CONVERTED)},
)
STATISTICS = dict.fromkeys(TASKS, TaskStatistics(rows=9, share=0.3, mean=0.5, std=1.0))
LOSS = {"ctr": 1.0, "cvr": 0.2, "ctcvr": 0.7}
CLIP = 0.5


def given() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Raw outputs (B,) and views (B, 6) of the two towers."""
    drawn_views = embedded(("ctr", "cvr"), "per_task").views
    views = {task: x.clone().requires_grad_() for task, x in drawn_views.items()}
    return {task: x.detach()[:, 0].requires_grad_() for task, x in views.items()}, views


def losses(related: Related) -> dict[str, torch.Tensor]:
    output = Output(related.raw, {}, related.weights, related.penalties)
    return Objective(TASKS, LOSS, STATISTICS).losses(output, BATCH)


def imputed(w: Weights, view: Array) -> Array:
    hidden = network(w, "imputation.tower.hidden", view)
    logit = hidden @ w["imputation.tower.head.weight"][0] + w["imputation.tower.head.bias"]
    return np.log1p(np.exp(logit))


def cross_entropy(logit: Array, label: Array) -> Array:
    return -label * np.log(sigmoid(logit)) - (1 - label) * np.log(1 - sigmoid(logit))


def dr(**options: object) -> tuple[RelationModule, Weights]:
    return drawn(ESCM2.model_validate({"hidden": (4,), "clip": CLIP, **options}).build(6, TASKS).train())


def test_ips_is_the_risk_over_all_impressions() -> None:
    module = ESCM2(estimator="ips", clip=CLIP).build(6, TASKS).train()
    raw, views = given()
    propensity = sigmoid(raw["ctr"].detach().numpy())
    assert (propensity < CLIP).any() and (propensity > CLIP).any()
    related = module.relate(raw, views, BATCH)
    error = cross_entropy(raw["cvr"].detach().numpy(), CONVERTED)
    wanted = (WEIGHT * CLICK * error / np.maximum(propensity, CLIP)).mean()
    assert losses(related)["cvr"].item() == pytest.approx(wanted, abs=1e-12)
    assert related.penalties == {} and not list(module.parameters())
    assert not related.weights["cvr"].requires_grad


def test_dr_is_the_doubly_robust_risk_and_that_of_the_imputation() -> None:
    module, w = dr(correction=LOSS["cvr"], imputation=0.4)
    raw, views = given()
    related = module.relate(raw, views, BATCH)
    inverse = CLICK / np.maximum(sigmoid(raw["ctr"].detach().numpy()), CLIP)
    e = cross_entropy(raw["cvr"].detach().numpy(), CONVERTED)
    e_hat = imputed(w, views["cvr"].detach().numpy())
    risk = (WEIGHT * (e_hat + inverse * (e - e_hat))).mean()
    found = LOSS["cvr"] * losses(related)["cvr"] + related.penalties["correction"]
    assert found.item() == pytest.approx(LOSS["cvr"] * risk, abs=1e-12)
    wanted = 0.4 * (WEIGHT * inverse * (e - e_hat) ** 2).mean()
    assert related.penalties["imputation"].item() == pytest.approx(wanted, abs=1e-12)


def test_gradients_are_those_of_the_formula_with_the_propensity_held() -> None:
    module, _ = dr(correction=LOSS["cvr"], imputation=0.4)
    raw, views = given()
    leaves = [*raw.values(), views["cvr"], *module.parameters()]
    related = module.relate(raw, views, BATCH)
    found = LOSS["cvr"] * losses(related)["cvr"] + torch.stack([*related.penalties.values()]).sum()
    click, label, weight = BATCH.labels["click"], BATCH.labels["converted"], BATCH.weight
    w = {name.removeprefix("imputation.tower."): p for name, p in module.named_parameters()}
    hidden = (views["cvr"] @ w["hidden.0.weight"].T + w["hidden.0.bias"]).relu()
    logit = hidden @ w["head.weight"][0] + w["head.bias"]
    e_hat, p = (1 + logit.exp()).log(), raw["cvr"].sigmoid()
    e = -label * p.log() - (1 - label) * (1 - p).log()
    inverse = click / raw["ctr"].detach().sigmoid().clamp(min=CLIP)
    risk, of_imputation = e_hat + inverse * (e - e_hat), inverse * (e - e_hat) ** 2
    wanted = (weight * (LOSS["cvr"] * risk + 0.4 * of_imputation)).mean()
    gradients = (torch.autograd.grad(x, leaves, allow_unused=True) for x in (found, wanted))
    for ours, theirs in zip(*gradients, strict=True):
        if ours is None or theirs is None:
            assert ours is theirs is None  # the click's raw output
        else:
            torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize(("null", "silent"), [("click", [1, 4]), ("converted", [4])])
def test_rows_of_a_null_label_say_nothing(null: str, silent: list[int]) -> None:
    """Of a row without a click nothing is asked but that: its conversion may well be null."""
    module, _ = dr()
    raw, views = given()
    label = BATCH.labels[null].clone()
    label[1], label[4] = NULL, NULL
    holes = replace(BATCH, labels={**BATCH.labels, null: label})
    weight = BATCH.weight.index_fill(0, torch.tensor(silent), 0.0)
    without = replace(BATCH, weight=weight)
    found, wanted = (module.relate(raw, views, batch).penalties for batch in (holes, without))
    assert found.keys() == wanted.keys() == {"correction", "imputation"}
    for name, penalty in found.items():
        torch.testing.assert_close(penalty, wanted[name])
    torch.stack([*found.values()]).sum().backward()
    for leaf in (raw["cvr"], views["cvr"]):
        assert leaf.grad is not None and leaf.grad.isfinite().all() and leaf.grad[4].eq(0).all()


def test_conversions_and_clicks_multiply_and_scoring_needs_no_label() -> None:
    module, _ = dr()
    raw, views = given()
    related = module.eval().relate(raw, views, replace(BATCH, labels={}))
    assert related.weights == {} and related.penalties == {}
    wanted = raw["ctr"].sigmoid() * raw["cvr"].sigmoid()
    torch.testing.assert_close(related.raw["ctcvr"].sigmoid(), wanted, rtol=1e-12, atol=0.0)
    cross = F.binary_cross_entropy(wanted, BATCH.labels["converted"], reduction="none") * BATCH.weight
    torch.testing.assert_close(losses(related)["ctcvr"], cross.mean() / 0.3)


LONGER = {
    "ctr": Task(label="click"), "cart": Task(label="cart", given="click"),
    "buy": Task(label="buy", given="cart"), "bought": Task(label="buy", product=("ctr", "cart", "buy")),
}


@pytest.mark.parametrize(("tasks", "trained", "reason"), [
    (TASKS, {"ctr", "ctcvr"}, "'cvr' has no loss"),
    (TASKS, {"cvr", "ctcvr"}, "'ctr' has no loss"),
    ({"ctr": TASKS["ctr"], "cvr": TASKS["cvr"]}, {"ctr", "cvr"}, "takes one product of two tasks"),
    (LONGER, {"ctr", "cart", "buy"}, "takes one product of two tasks"),
    ({**TASKS, "again": TASKS["ctcvr"]}, {"ctr", "cvr"}, "takes one product of two tasks"),
])
def test_it_asks_for_a_click_a_conversion_and_their_losses(
    tasks: dict[str, Task], trained: set[str], reason: str
) -> None:
    refused = ESCM2().refusal(tasks, dict.fromkeys(trained, CrossEntropy()))
    assert refused is not None and reason in refused
    weighted = {"ctr": CrossEntropy(weight=0.5), "cvr": CrossEntropy()}
    assert ESCM2().refusal(TASKS, weighted) is None


@pytest.mark.parametrize("task", ["ctr", "cvr"])
@pytest.mark.parametrize("loss", [Focal(), CrossEntropy(smoothing=0.1), CrossEntropy(negatives=0.5)])
def test_it_takes_no_loss_but_plain_cross_entropy(task: str, loss: LossConfig) -> None:
    """Its propensity and its imputation's error are those of the log loss."""
    refused = ESCM2().refusal(TASKS, {"ctr": CrossEntropy(), "cvr": CrossEntropy(), task: loss})
    assert refused is not None and f"give loss.{task} as a weight alone" in refused
