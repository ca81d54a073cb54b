"""PEPNet against its formulas, written in numpy; its stopped gradients against autograd's own."""

import numpy as np
import pytest
import torch

from recmtl.batch import Batch, Layout, Slot
from recmtl.errors import RecmtlError
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.multitask import build_model
from recmtl.model.sharing import PEPNet
from recmtl.schema import Task
from tests.model.by_hand import (
    COLUMNS,
    Array,
    Weights,
    built,
    drawn,
    embedded,
    gradients_are_right,
    relu,
)

TASKS = ("ctr", "cvr")
OPTIONS = PEPNet(hidden=(4, 3), domain=("age",), prior=("user", "item"), gate_hidden=3)


def gate(w: Weights, prefix: str, x: Array) -> Array:
    h = relu(x @ w[f"{prefix}.below.0.weight"].T + w[f"{prefix}.below.0.bias"])
    return 2 / (1 + np.exp(-(h @ w[f"{prefix}.above.weight"].T + w[f"{prefix}.above.bias"])))


@pytest.mark.parametrize("output_gate", [False, True])
def test_pepnet(output_gate: bool) -> None:
    module, w = built(OPTIONS.model_copy(update={"output_gate": output_gate}), TASKS)
    given = embedded(TASKS, "shared")
    whole = given.views["ctr"].numpy()
    item, user, age = whole[:, :2], whole[:, 2:4], whole[:, 4:]
    x = whole * gate(w, "embedding_gate", np.concatenate([age, whole], 1))
    known = np.concatenate([user, item, x], 1)
    found = module(given)
    for t, task in enumerate(TASKS):
        h = x
        for layer in range(2):
            of_all = gate(w, f"gates.{layer}", known)
            own = of_all[:, t * h.shape[1] : (t + 1) * h.shape[1]]
            name = f"networks.{task}.{layer}"
            h = relu((h * own) @ w[f"{name}.weight"].T + w[f"{name}.bias"])
        if output_gate:
            h = h * gate(w, "output_gate", known)[:, t * h.shape[1] : (t + 1) * h.shape[1]]
        np.testing.assert_allclose(found.views[task].detach(), h, atol=1e-6)


def test_the_paper_s_network_up_to_the_logit() -> None:
    """Every layer's input is scaled, the last one's, too, under towers that are linear."""
    layout = Layout((Slot("user", 4, 0, 9), Slot("item", 4, 9, 8)), (), {"hour": 2}, {4: 17}, ())
    config = ModelConfig.model_validate({
        "sharing": {"kind": "pepnet", "hidden": [5, 3], "domain": ["hour"], "prior": ["user", "item"],
                    "gate_hidden": 4, "output_gate": True},
        "towers": {"hidden": []}, "loss": dict.fromkeys(TASKS, 1.0),
    })
    tasks = {task: Task(label=task) for task in TASKS}
    model, w = drawn(build_model(config, EmbeddingConfig(), layout, tasks))
    rows = torch.tensor([[3, 9], [0, 16], [8, 12]])
    batch = Batch(rows.int(), torch.randn(3, 2).double(), {}, {}, torch.ones(3), torch.zeros(3, 2))
    e = np.concatenate([w["embedding.tables.4"][rows].reshape(3, 8), batch.dense.numpy()], 1)
    own = {n.removeprefix("sharing."): weight for n, weight in w.items()}
    o = e * gate(own, "embedding_gate", np.concatenate([e[:, 8:], e], 1))
    known = np.concatenate([e[:, :8], o], 1)
    raw = model(batch).raw
    for t, task in enumerate(TASKS):
        h = o
        layers = {
            "gates.0": f"sharing.networks.{task}.0", "gates.1": f"sharing.networks.{task}.1",
            "output_gate": f"towers.{task}.head",
        }
        for name, layer in layers.items():
            h = h * np.split(gate(own, name, known), 2, axis=1)[t]
            h = h @ w[f"{layer}.weight"].T + w[f"{layer}.bias"]
            h = h if name == "output_gate" else relu(h)
        np.testing.assert_allclose(raw[task].detach(), h[:, 0], atol=1e-6)


@pytest.mark.parametrize("output_gate", [False, True])
def test_gradients_of_what_no_stop_lies_before(output_gate: bool) -> None:
    module, _ = built(OPTIONS.model_copy(update={"output_gate": output_gate}), TASKS)
    given = embedded(TASKS, "shared")
    assert gradients_are_right(
        module, given, lambda shared: list(shared.views.values()),
        lambda name: name.startswith(("networks.", "gates.", "output_gate.")),
    )


def test_gates_pass_no_gradient_to_the_whole_batch_that_they_read() -> None:
    """Of embeddings and of their gate, by autograd through plain layers with the stops written out."""
    module, _ = built(OPTIONS, TASKS)
    given = embedded(TASKS, "shared")
    leaf = given.views["ctr"].requires_grad_()
    w = dict(module.named_parameters())

    def plain(prefix: str, x: torch.Tensor) -> torch.Tensor:
        h = (x @ w[f"{prefix}.below.0.weight"].T + w[f"{prefix}.below.0.bias"]).relu()
        return 2 * (h @ w[f"{prefix}.above.weight"].T + w[f"{prefix}.above.bias"]).sigmoid()

    x = leaf * plain("embedding_gate", torch.cat([leaf[:, 4:], leaf.detach()], 1))
    known = torch.cat([leaf[:, 2:4], leaf[:, :2], x.detach()], 1)
    total = torch.zeros((), dtype=torch.float64)
    for t, task in enumerate(TASKS):
        h = x
        for layer in range(2):
            own = plain(f"gates.{layer}", known).chunk(2, 1)[t]
            name = f"networks.{task}.{layer}"
            h = ((h * own) @ w[f"{name}.weight"].T + w[f"{name}.bias"]).relu()
        total = total + h.sum()
    leaves = [leaf, *w.values()]
    wanted = torch.autograd.grad(total, leaves)
    ours = torch.autograd.grad(torch.stack([v.sum() for v in module(given).views.values()]).sum(), leaves)
    for found, expected in zip(ours, wanted, strict=True):
        torch.testing.assert_close(found, expected)


def test_files_that_name_no_output_gate_keep_their_digest() -> None:
    assert "output_gate" not in OPTIONS.model_dump()
    assert OPTIONS.model_copy(update={"output_gate": True}).model_dump()["output_gate"]


def test_a_feature_that_is_not_there_is_refused() -> None:
    with pytest.raises(RecmtlError, match="no feature 'users' in a view"):
        PEPNet(prior=("users",)).build(COLUMNS, TASKS)
    assert PEPNet(prior=("users",)).refusal(TASKS, ["user", "c[0-9]"]) == (
        "sharing.prior: no feature 'users'; did you mean 'user'?"
    )
    assert PEPNet(domain=("c3",)).refusal(TASKS, ["user", "c[0-9]"]) is None
