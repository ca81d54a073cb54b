"""DIN's activations against the paper's formulas, written in numpy, and the attention that has them."""

from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from recmtl.batch import Ragged
from recmtl.learn.group import ALONE
from recmtl.learn.optim import build_optimizers
from recmtl.learn.settings import TrainConfig
from recmtl.learn.step import Objective, make_step, parameters
from recmtl.model.multitask import MultiTask
from recmtl.model.pooling import TargetAttention
from recmtl.model.pooling.activations import Dice, PReLU
from recmtl.suite.checks import made, on_batch, settings
from recmtl.suite.made_up import TASKS, make_batch, permute
from tests.model.by_hand import Array, Weights, drawn, sigmoid

Activation = Literal["prelu", "dice"]
BOTH = pytest.mark.parametrize("activation", ["prelu", "dice"])
ALL = torch.ones(7, 1).double()


def units(rows: int = 7, seed: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1.5 * torch.randn(rows, 3, generator=generator, dtype=torch.float64) + 0.4


def dice(s: Array, alpha: Array, mean: Array, variance: Array) -> Array:
    p = sigmoid((s - mean) / np.sqrt(variance + 1e-8))
    return p * s + (1 - p) * alpha * s


def test_prelu() -> None:
    module, w = drawn(PReLU(3))
    s = units()
    wanted = np.where(s.numpy() > 0, s, w["alpha"] * s.numpy())
    np.testing.assert_allclose(module(s, ALL).detach(), wanted, atol=1e-12)


def test_dice_takes_the_batch_s_statistics_in_training_and_their_moving_averages_elsewhere() -> None:
    module, w = drawn(Dice(3))
    mean, variance = np.zeros(3), np.ones(3)
    for seed in range(3):
        s = units(seed=seed)
        of_batch = s.numpy().mean(0), s.numpy().var(0)
        found = module.train()(s, ALL).detach()
        np.testing.assert_allclose(found, dice(s.numpy(), w["alpha"], *of_batch), atol=1e-9)
        mean, variance = 0.9 * mean + 0.1 * of_batch[0], 0.9 * variance + 0.1 * of_batch[1]
        found = module.eval()(s, ALL).detach()
        np.testing.assert_allclose(found, dice(s.numpy(), w["alpha"], mean, variance), atol=1e-9)


def test_a_start_without_slopes() -> None:
    """As in the authors' code: PReLU begins as ReLU, Dice as p(s) s."""
    s = units().float()
    assert torch.equal(PReLU(3)(s, ALL), s.relu())
    torch.testing.assert_close(Dice(3).eval()(s, ALL), s * s.sigmoid())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("make", [PReLU, Dice])
def test_gradients(make: type[PReLU] | type[Dice], training: bool) -> None:
    module, _ = drawn(make(3))
    s = units().requires_grad_()
    assert torch.autograd.gradcheck(lambda s, _: module.train(training)(s, ALL), [s, module.alpha])


def test_values_that_are_no_list_s_do_not_count() -> None:
    """Nor does a batch without any: it leaves the averages where they are."""
    ours, _ = drawn(Dice(3))
    theirs, _ = drawn(Dice(3))
    s = units()
    counted = torch.arange(7).lt(5).unsqueeze(1).double()
    found, wanted = ours.train()(s, counted), theirs.train()(s[:5], ALL[:5])
    torch.testing.assert_close(found[:5], wanted)
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance)
    before = ours.mean.clone()
    assert ours(s, 0 * counted).isfinite().all()
    assert ours(s[:0], ALL[:0]).shape == (0, 3)
    assert torch.equal(ours.mean, before)


def weights_of_values(w: Weights, x: Array, activation: Activation) -> Array:
    """a(v, t) of all values of a batch in training, in a network of two layers."""
    for n in (0, 1):
        s = x @ w[f"hidden.{n}.weight"].T + w[f"hidden.{n}.bias"]
        alpha = w[f"activations.{n}.alpha"]
        x = dice(s, alpha, s.mean(0), s.var(0)) if activation == "dice" else np.where(s > 0, s, alpha * s)
    return x @ w["head.weight"].T + w["head.bias"]


@BOTH
def test_a_list_is_pooled_by_its_target(activation: Activation) -> None:
    unit, w = drawn(TargetAttention(target="item", hidden=(5, 3), activation=activation).build(2))
    values, targets = units(6)[:, :2], units(4, seed=8)[:, :2]
    offsets = torch.tensor([0, 2, 2, 5, 6])
    v, t = values.numpy(), targets.numpy()[[0, 0, 2, 2, 2, 3]]
    weighed = weights_of_values(w, np.concatenate([v, t, v - t, v * t], 1), activation) * v
    wanted = [weighed[a:b].sum(0) for a, b in pairwise(offsets)]
    found = unit.train()(values, Ragged(torch.zeros(6), offsets), targets)
    np.testing.assert_allclose(found.detach(), np.stack(wanted), atol=1e-9)
    # A recorded step has room beyond its lists: whatever lies there counts for nothing.
    roomy = torch.cat([values, units(5, seed=9)[:, :2]])
    again = unit.train()(roomy, Ragged(torch.zeros(11), offsets), targets)
    torch.testing.assert_close(again, found)


@BOTH
def test_gradients_of_the_attention(activation: Activation) -> None:
    unit, _ = drawn(TargetAttention(target="item", hidden=(3,), activation=activation).build(2))
    values, targets = (units(n)[:, :2].clone().requires_grad_() for n in (5, 4))
    lists = Ragged(torch.zeros(5), torch.tensor([0, 3, 3, 4, 5]))
    leaves = [values, targets, *unit.parameters()]
    assert torch.autograd.gradcheck(lambda v, t, *_: unit(v, lists, t), leaves)


def model_of(**options: Any) -> MultiTask:
    config = settings({"kind": "mmoe"}, {"kind": "independent"}, "all_rows")
    attention = TargetAttention.model_validate({"target": "item", "hidden": [6], **options})
    return made(config.model_copy(update={"pooling": {"history": attention}}))


@BOTH
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_trains_and_scores_rows_by_themselves(precision: str, activation: Activation) -> None:
    model, batch = model_of(activation=activation).train(), make_batch(64)
    loss = {"ctr": 1.0, "ctcvr": 1.0}
    config = TrainConfig.model_validate(
        {"monitor": "auc_valid/ctr", "precision": precision, "learning_rate": 0.02}
    )
    aim = Objective(TASKS, loss, on_batch(batch))
    step = make_step(model, aim, build_optimizers(*parameters(model), config), config, ALONE)
    totals = [float(aim.total(step(batch))) for _ in range(8)]
    assert totals[-1] < totals[0]
    (unit,) = model.embedding.pooled.units
    assert unit.activations[0].alpha.grad.abs().sum() > 0
    order = torch.tensor([7, 3])
    with torch.no_grad():
        raw = model.eval()(batch).raw["ctr"]
        torch.testing.assert_close(model(permute(batch, order)).raw["ctr"], raw[order])
        with torch.autocast("cpu", torch.bfloat16):
            half = model.with_bf16_layers()(batch).raw["ctr"]
        torch.testing.assert_close(half, raw, rtol=0.0, atol=0.2)


def test_moving_averages_are_saved_with_the_weights() -> None:
    trained, fresh = model_of(activation="dice"), model_of(activation="dice")
    batch = make_batch(32)
    trained.train()(batch)
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(fresh.eval()(batch).raw["ctr"], trained.eval()(batch).raw["ctr"])
    assert not torch.equal(model_of(activation="dice")(batch).raw["ctr"], fresh(batch).raw["ctr"])


def test_lists_that_are_all_empty() -> None:
    batch = make_batch(3)
    none = Ragged(torch.empty(0, dtype=torch.int32), torch.zeros(4, dtype=torch.long))
    empty = replace(batch, lists=dict.fromkeys(batch.lists, none))
    model = model_of(activation="dice").train()
    raw = model(empty).raw["ctr"]
    raw.sum().backward()
    assert raw.isfinite().all()
    assert all(torch.isfinite(b).all() for b in model.buffers())


def test_relu_is_what_it_was() -> None:
    plain = TargetAttention(target="item")
    assert "activation" not in plain.model_dump()
    assert not any("activations" in name for name in plain.build(4).state_dict())
    assert TargetAttention(target="item", activation="dice").model_dump()["activation"] == "dice"
