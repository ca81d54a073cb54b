"""Sharings of a network per task against their papers' formulas, written in numpy."""

from itertools import combinations

import numpy as np
import pytest
import torch

from recmtl.batch import Shared
from recmtl.model.sharing import CrossStitch, Separate, SharedBottom, SoftSharing, TensorFactorization
from tests.model.by_hand import COLUMNS, built, embedded, gradients_are_right, network, relu

TASKS = ("ctr", "cvr", "like")
HIDDEN = (4, 3)
tables = pytest.mark.parametrize("tables", ["shared", "per_task"])


def views(shared: Shared) -> list[torch.Tensor]:
    return list(shared.views.values())


@tables
def test_shared_bottom_is_one_network(tables: str) -> None:
    module, w = built(SharedBottom(hidden=HIDDEN), TASKS)
    given = embedded(TASKS, tables)
    for task, view in module(given).views.items():
        wanted = network(w, "bottom", given.views[task].numpy())
        np.testing.assert_allclose(view.detach(), wanted, atol=1e-6)
    assert gradients_are_right(module, given, views)


@tables
def test_separate_is_a_network_each(tables: str) -> None:
    module, w = built(Separate(hidden=HIDDEN), TASKS)
    given = embedded(TASKS, tables)
    for task, view in module(given).views.items():
        wanted = network(w, f"networks.{task}", given.views[task].numpy())
        np.testing.assert_allclose(view.detach(), wanted, atol=1e-6)
    assert gradients_are_right(module, given, views)


@tables
def test_cross_stitch(tables: str) -> None:
    module, w = built(CrossStitch(hidden=HIDDEN), TASKS)
    given = embedded(TASKS, tables)
    x = [given.views[task].numpy() for task in TASKS]
    for layer in range(2):
        h = [relu(x[t] @ w[f"networks.{task}.{layer}.weight"].T + w[f"networks.{task}.{layer}.bias"])
             for t, task in enumerate(TASKS)]
        x = [sum(w[f"stitches.{layer}"][t, s] * h[s] for s in range(3)) for t in range(3)]
    for wanted, view in zip(x, module(given).views.values(), strict=True):
        np.testing.assert_allclose(view.detach(), wanted, atol=1e-6)
    assert gradients_are_right(module, given, views)


def test_stitches_start_with_most_from_the_task_itself() -> None:
    module = CrossStitch(hidden=HIDDEN, own=0.8).build(COLUMNS, TASKS)
    start = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    torch.testing.assert_close(module.get_parameter("stitches.1").detach(), start)
    alone = CrossStitch(hidden=HIDDEN, own=0.8).build(COLUMNS, ["ctr"])
    assert alone.get_parameter("stitches.0").tolist() == [[1.0]]


def weights_of(w: dict[str, np.ndarray], layer: int) -> list[np.ndarray]:
    return [w[f"networks.{task}.{layer}.weight"].ravel() for task in TASKS]


def test_l2_is_the_sum_over_pairs_of_tasks() -> None:
    module, w = built(SoftSharing(hidden=HIDDEN, strength=0.3), TASKS)
    given = embedded(TASKS, "shared")
    wanted = 0.3 * sum(
        ((a - b) ** 2).sum() for layer in (0, 1) for a, b in combinations(weights_of(w, layer), 2)
    )
    found = module.train()(given)
    assert found.penalties["distance"].item() == pytest.approx(wanted, abs=1e-6)
    for task, view in found.views.items():
        wanted_view = network(w, f"networks.{task}", given.views[task].numpy())
        np.testing.assert_allclose(view.detach(), wanted_view, atol=1e-6)
    assert gradients_are_right(module, given, lambda s: [*views(s), s.penalties["distance"]])


def test_trace_norm_is_the_sum_of_singular_values_over_tasks() -> None:
    module, w = built(SoftSharing(hidden=HIDDEN, distance="trace_norm", strength=0.3), TASKS)
    given = embedded(TASKS, "shared")
    wanted = 0.3 * sum(
        np.sqrt(np.linalg.eigvalsh(np.stack(weights) @ np.stack(weights).T)).sum()
        for weights in (weights_of(w, 0), weights_of(w, 1))
    )
    assert module.train()(given).penalties["distance"].item() == pytest.approx(wanted, abs=1e-6)
    assert gradients_are_right(module, given, lambda s: [s.penalties["distance"]])
    assert module.eval()(given).penalties == {}


@tables
@pytest.mark.parametrize("task_rank", [1, 2])
def test_tensor_factorization(task_rank: int, tables: str) -> None:
    module, w = built(TensorFactorization(hidden=HIDDEN, rank=3, task_rank=task_rank), TASKS)
    given = embedded(TASKS, tables)
    for t, (task, view) in enumerate(module(given).views.items()):
        x = given.views[task].numpy()
        for layer in range(2):
            into, core, mix, out, bias = (
                w[f"layers.{layer}.{name}"] for name in ("into", "core", "mix", "out", "bias")
            )
            tensor = np.einsum("cij,oi,jn,tc->ont", core, out, into, mix)  # Tucker: core by its modes
            x = relu(x @ tensor[:, :, t].T + bias[t])
        np.testing.assert_allclose(view.detach(), x, atol=1e-6)
    assert gradients_are_right(module, given, views)


def test_factors_start_with_he_s_variance() -> None:
    torch.manual_seed(0)
    tasks = [str(t) for t in range(50)]
    module = TensorFactorization(hidden=(400,), rank=100, task_rank=4).build(COLUMNS, tasks)
    factors = module.get_submodule("layers.0")
    _, layer = factors([torch.zeros(1, 6)])
    weights = torch.stack([weight for weight, _ in layer]) @ factors.get_parameter("into")
    assert weights.var().item() == pytest.approx(2 / 6, rel=0.1)
