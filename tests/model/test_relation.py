"""The product rule against exact arithmetic, and what can be derived from what."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.multitask import build_model
from recmtl.model.relation import Product
from recmtl.model.relation.derived import derivable, derive
from recmtl.model.relation.product import product_logit
from recmtl.schema import Task
from recmtl.suite.made_up import LAYOUT, TASKS, make_batch


def test_joint_probability_is_the_product() -> None:
    g = torch.Generator().manual_seed(0)
    a, b, c = (torch.randn(10_000, generator=g, dtype=torch.float64) * 4 for _ in range(3))
    joint = product_logit([a, b, c]).sigmoid()
    torch.testing.assert_close(joint, a.sigmoid() * b.sigmoid() * c.sigmoid(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("a", [-200.0, 0.0, 200.0])
@pytest.mark.parametrize("b", [-200.0, 0.0, 200.0])
def test_finite_with_finite_gradients_at_large_logits(dtype: torch.dtype, a: float, b: float) -> None:
    logits = [torch.tensor([z], dtype=dtype, requires_grad=True) for z in (a, b)]
    joint = product_logit(logits)
    torch.nn.functional.binary_cross_entropy_with_logits(joint, torch.ones(1).to(joint)).backward()
    assert torch.isfinite(joint).all()
    assert all(z.grad is not None and torch.isfinite(z.grad).all() for z in logits)
    if a == b == 0.0:  # ½ · ½ = ¼, whose logit is −ln 3
        assert joint.item() == pytest.approx(-math.log(3), rel=1e-6)
    if min(a, b) == -200.0:  # p q ≈ e^(a + b) where both are tiny, else the smaller one's logit
        expected = a + b if a == b else -200.0 if 0.0 not in (a, b) else -200.0 + math.log(0.5)
        assert joint.item() == pytest.approx(expected, rel=1e-6)


def test_gradient_by_gradcheck() -> None:
    logits = [torch.randn(5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(lambda *z: product_logit(list(z)), logits)


def test_derived_tasks_by_exact_fractions() -> None:
    p_click, p_both = Fraction(1, 4), Fraction(1, 10)
    logs = {"ctr": torch.tensor([math.log(p_click)]), "ctcvr": torch.tensor([math.log(p_both)])}
    identity = derivable(TASKS, frozenset({"ctr", "ctcvr"}))["cvr"]
    assert derive(identity, logs).exp().item() == pytest.approx(float(p_both / p_click))
    impossible = {"ctr": torch.tensor([math.log(0.1)]), "ctcvr": torch.tensor([math.log(0.4)])}
    assert derive(identity, impossible).exp().item() == 1.0
    product = derivable(TASKS, frozenset({"ctr", "cvr"}))["ctcvr"]
    assert derive(product, {"ctr": logs["ctr"], "cvr": logs["ctr"]}).exp().item() == pytest.approx(1 / 16)


@pytest.mark.parametrize("sharing", ["single", "shared_bottom"])
def test_division_is_what_losses_on_ctr_and_ctcvr_alone_report(sharing: str) -> None:
    """DIVISION of the ESMM paper (section 3.1): pCVR = pCTCVR / pCTR, at most 1."""
    torch.manual_seed(0)
    config = ModelConfig.model_validate({
        "sharing": {"kind": sharing, "hidden": [6]}, "towers": {"hidden": [5]},
        "loss": {"ctr": 1.0, "ctcvr": 1.0},
    })
    assert config.refusal(TASKS) is None and config.reports(TASKS)["cvr"] == "derived"
    model = build_model(config, EmbeddingConfig(width=4, init=0.5), LAYOUT, TASKS).double().eval()
    batch = make_batch(64)
    output = model(replace(batch, dense=batch.dense.double(), labels={}))
    assert set(output.raw) == {"ctr", "ctcvr"}
    logits = {task: raw.detach().numpy() for task, raw in output.raw.items()}
    ctr, ctcvr = (1 / (1 + np.exp(-logits[task])) for task in ("ctr", "ctcvr"))
    assert (ctcvr > ctr).any() and (ctcvr < ctr).any()
    found = model.scores(output, batch)["cvr"].detach()
    np.testing.assert_allclose(found, np.minimum(ctcvr / ctr, 1.0), atol=1e-12)


def test_nothing_is_derived_from_one_task_or_past_a_gap() -> None:
    assert derivable(TASKS, frozenset({"ctr"})) == {}
    assert derivable(TASKS, frozenset({"ctr", "cvr", "ctcvr"})) == {}


def test_longer_chains_have_a_tower_for_every_factor() -> None:
    tasks = {
        "ctr": Task(label="click"), "cart": Task(label="cart", given="click"),
        "buy": Task(label="buy", given="cart"),
        "bought": Task(label="buy", product=("ctr", "cart", "buy")),
    }
    relation = Product()
    assert relation.towers(tasks, frozenset({"bought"})) == ("ctr", "cart", "buy")
    raw = {t: torch.zeros(2) for t in ("ctr", "cart", "buy")}
    related = relation.build(1, tasks).relate(raw, {}, make_batch(2))
    assert related.raw["bought"].sigmoid().tolist() == pytest.approx([0.125, 0.125])
