"""Sharings of experts and gates against their papers' formulas, written in numpy."""

import numpy as np
import pytest
import torch

from recmtl.batch import Shared
from recmtl.model.sharing import CGC, PLE, STEM, HoME, MMoE, OMoE
from recmtl.model.sharing.options import Gated
from tests.model.by_hand import Array, Weights, built, embedded, expert, gradients_are_right, softmax

TASKS = ("ctr", "cvr", "like")
HIDDEN = (4, 3)


def outputs(shared: Shared) -> list[torch.Tensor]:
    return [*shared.views.values(), *(gate.weights for gate in shared.gates.values())]


def level(w: Weights, prefix: str, x: dict[str, Array], counts: tuple[int, ...]) -> dict[str, Array]:
    """Equations 1 to 4 of PLE: each task's experts and the shared ones, mixed by the task's gate."""
    experts: dict[str, list[Array]] = {}
    number = 0
    for source, count in zip((*TASKS, "all tasks"), counts, strict=True):
        experts[source] = [
            expert(w, f"{prefix}experts", number + k, sum(counts), x[source]) for k in range(count)
        ]
        number += count
    found = {}
    for reader, view in x.items():
        within = [e for source in experts for e in experts[source]
                  if reader not in TASKS or source in (reader, "all tasks")]
        if f"{prefix}gates.{reader}.weight" in w:
            gate = softmax(view @ w[f"{prefix}gates.{reader}.weight"].T)
            found[reader] = sum(gate[:, k : k + 1] * value for k, value in enumerate(within))
    return found


@pytest.mark.parametrize("tables", ["shared", "per_task"])
def test_mmoe(tables: str) -> None:
    module, w = built(MMoE(hidden=HIDDEN, experts=3, temperature=0.5), TASKS)
    given = embedded(TASKS, tables)
    found = module(given)
    for task in TASKS:
        x = given.views[task].numpy()
        gate = softmax(x @ w[f"gates.{task}.weight"].T / 0.5)
        wanted = sum(gate[:, k : k + 1] * expert(w, "experts", k, 3, x) for k in range(3))
        np.testing.assert_allclose(found.views[task].detach(), wanted, atol=1e-6)
        np.testing.assert_allclose(found.gates[task].weights.detach(), gate, atol=1e-6)
    assert gradients_are_right(module, given, outputs)


def test_omoe_has_one_gate_and_one_view() -> None:
    module, w = built(OMoE(hidden=HIDDEN, experts=3), TASKS)
    given = embedded(TASKS, "shared")
    found, x = module(given), given.views["ctr"].numpy()
    gate = softmax(x @ w["gates.all tasks.weight"].T)
    wanted = sum(gate[:, k : k + 1] * expert(w, "experts", k, 3, x) for k in range(3))
    for task in TASKS:
        np.testing.assert_allclose(found.views[task].detach(), wanted, atol=1e-6)
    assert list(found.gates) == ["all tasks"]
    assert gradients_are_right(module, given, outputs)


@pytest.mark.parametrize("tables", ["shared", "both"])
@pytest.mark.parametrize(("own", "counts"), [
    (1, (1, 1, 1, 2)), (2, (2, 2, 2, 2)), ({"cvr": 3, "like": 2, "ctr": 1}, (1, 3, 2, 2)),
])
def test_cgc(own: int | dict[str, int], counts: tuple[int, ...], tables: str) -> None:
    module, w = built(CGC(hidden=HIDDEN, experts=own), TASKS)
    given = embedded(TASKS, tables)
    assert given.shared is not None
    x = {**{task: view.numpy() for task, view in given.views.items()}, "all tasks": given.shared.numpy()}
    found, wanted = module(given), level(w, "levels.0.", x, counts)
    assert list(found.views) == list(wanted) == list(TASKS)
    for task, count in zip(TASKS, counts, strict=False):
        np.testing.assert_allclose(found.views[task].detach(), wanted[task], atol=1e-6)
        named = found.gates[task].experts
        assert named == (*(f"{task} {k}" for k in range(count)), "all tasks 0", "all tasks 1")
    if own == 1:
        assert gradients_are_right(module, given, outputs)


@pytest.mark.parametrize("tables", ["shared", "both"])
def test_ple_is_cgc_level_by_level(tables: str) -> None:
    module, w = built(PLE(hidden=HIDDEN, experts=1, shared_experts=2, levels=3), TASKS)
    given = embedded(TASKS, tables)
    assert given.shared is not None
    x = {**{task: view.numpy() for task, view in given.views.items()}, "all tasks": given.shared.numpy()}
    for number in range(3):
        x = level(w, f"levels.{number}.", x, (1, 1, 1, 2))
    found = module(given)
    for task in TASKS:
        np.testing.assert_allclose(found.views[task].detach(), x[task], atol=1e-6)
    assert set(found.gates) == {
        *TASKS, *(f"{name} level {n}" for n in (1, 2) for name in (*TASKS, "all tasks"))
    }
    assert found.gates["cvr level 1"].experts == (
        "cvr 0 level 1", "all tasks 0 level 1", "all tasks 1 level 1",
    )
    assert found.gates["cvr"].experts == ("cvr 0", "all tasks 0", "all tasks 1")


@pytest.mark.parametrize("tables", ["shared", "both"])
def test_gradients_of_ple(tables: str) -> None:
    module, _ = built(PLE(hidden=(3, 2), experts=1, shared_experts=1), TASKS[:2])
    assert gradients_are_right(module, embedded(TASKS[:2], tables), outputs)


def test_stem_reads_all_experts_and_teaches_its_own() -> None:
    module, w = built(STEM(hidden=HIDDEN, experts=1, shared_experts=2), TASKS)
    given = embedded(TASKS, "both")
    assert given.shared is not None
    x = {**{task: view.numpy() for task, view in given.views.items()}, "all": given.shared.numpy()}
    sources = [*TASKS, "all", "all"]
    experts = [expert(w, "experts", k, 5, x[source]) for k, source in enumerate(sources)]
    found = module(given)
    for task in TASKS:
        gate = softmax((x[task] + x["all"]) @ w[f"gates.{task}.weight"].T)
        wanted = sum(gate[:, k : k + 1] * value for k, value in enumerate(experts))
        np.testing.assert_allclose(found.views[task].detach(), wanted, atol=1e-6)


def test_no_gradient_goes_from_a_task_of_stem_to_the_experts_of_another() -> None:
    module, _ = built(STEM(hidden=(4,), experts=2, shared_experts=1), TASKS)
    given = embedded(TASKS, "both")
    for view in (*given.views.values(), given.shared):
        assert view is not None
        view.requires_grad_()
    module(given).views["cvr"].sum().backward()
    gradient = module.get_parameter("experts.weight").grad
    assert gradient is not None
    touched = gradient.view(7, 4, -1).abs().sum((1, 2)) > 0
    assert touched.tolist() == [False, False, True, True, False, False, True]
    assert given.views["ctr"].grad is None or not given.views["ctr"].grad.any()
    reached = {"cvr", "shared", "gates.cvr.weight"}  # a view through its gate and through experts
    assert gradients_are_right(module, given, lambda s: [s.views["cvr"]], reached.__contains__)


@pytest.mark.parametrize("options", [OMoE(), MMoE(), PLE(), STEM(), HoME()], ids=lambda o: o.kind)
def test_balance_is_the_squared_variation_of_each_gate(options: Gated) -> None:
    changed = options.model_copy(update={"balance": 0.25, "hidden": HIDDEN})
    module, _ = built(changed, TASKS)
    given = embedded(TASKS, options.tables[-1])
    found = module.train()(given)
    importance = [gate.weights.detach().numpy().sum(0) for gate in found.gates.values()]
    wanted = 0.25 * sum((i.std() / i.mean()) ** 2 for i in importance)
    assert found.penalties["balance"].item() == pytest.approx(wanted, abs=1e-9)
    assert module.eval()(given).penalties == {}


def test_gate_dropout_leaves_experts_out_and_the_others_proportions_as_they_are() -> None:
    module, _ = built(MMoE(hidden=HIDDEN, experts=4, gate_dropout=0.5), TASKS)
    given = embedded(TASKS, "shared")
    whole = module.eval()(given).gates["ctr"].weights
    torch.manual_seed(2)
    parts = torch.stack([module.train()(given).gates["ctr"].weights for _ in range(200)])
    torch.testing.assert_close(parts.sum(-1), torch.ones_like(parts[..., 0]))
    kept = parts > 0
    renormalised = torch.where(kept, whole, 0.0) / torch.where(kept, whole, 0.0).sum(-1, keepdim=True)
    torch.testing.assert_close(parts, renormalised)
    # ½, and of the 1/16 of rows that would lose all four each keeps all.
    assert kept.double().mean().item() == pytest.approx(0.5 + 1 / 16, abs=0.03)
