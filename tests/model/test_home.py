"""HoME against its formulas, written in numpy, and what it does to single rows."""

import numpy as np
import pytest
import torch

from recmtl.batch import Embedded, Shared
from recmtl.model.sharing import HoME
from tests.model.by_hand import (
    Array,
    Weights,
    built,
    embedded,
    gradients_are_right,
    network,
    sigmoid,
    softmax,
)

TASKS = ("ctr", "cvr", "like")
GROUPS = (("ctr",), ("cvr", "like"))
HIDDEN = (4, 3)


def feature_gate(w: Weights, prefix: str, k: int, x: Array) -> Array:
    """Σ over pairs of matrices (W, rank) and (rank, W), mixed by a softmax where there are several."""
    mix = w.get(f"{prefix}features.mix.{k}.weight")
    count = 1 if mix is None else len(mix)
    shares = np.ones((len(x), 1)) if mix is None else softmax(x @ mix.T)
    whole = np.zeros_like(x)
    for pair in range(count):
        place = k * count + pair
        low, high = (w[f"{prefix}features.{name}.{place}.weight"].T for name in ("into", "out"))
        whole += shares[:, [pair]] * 2 * sigmoid(x @ (low @ high))
    return whole


def expert(w: Weights, prefix: str, k: int, x: Array, batch: bool) -> Array:
    """Feature gate, hidden layer, normalisation over the batch (or by mean 0 and variance 1), swish."""
    gated = x * feature_gate(w, prefix, k, x)
    z = network(w, f"{prefix}experts.below.{k}", gated) @ w[f"{prefix}experts.last.{k}.weight"].T
    mean, variance = (z.mean(0), z.var(0)) if batch else (0.0, 1.0)
    part = slice(k * z.shape[1], (k + 1) * z.shape[1])
    scaled = (z - mean) / np.sqrt(variance + 1e-5)
    z = scaled * w[f"{prefix}experts.scale"][part] + w[f"{prefix}experts.shift"][part]
    return z * sigmoid(z)


def level(
    w: Weights, prefix: str, read: dict[str, Array], reach: dict[str, tuple[list[str], Array]],
    how: tuple[int, bool],
) -> dict[str, Array]:
    """A view a reader: the sources that it reaches, its own first, and what its gates read."""
    count, batch = how
    experts = {
        source: [expert(w, prefix, i * count + k, x, batch) for k in range(count)]
        for i, (source, x) in enumerate(read.items())
    }
    views = {}
    for reader, (sources, x) in reach.items():
        gate = softmax(x @ w[f"{prefix}gates.{reader}.weight"].T)
        own = x @ w[f"{prefix}selves.{reader}.weight"].T + w[f"{prefix}selves.{reader}.bias"]
        own = sigmoid(own) if count == 1 else softmax(own)
        within = [value for source in sources for value in experts[source]]
        views[reader] = sum(gate[:, k : k + 1] * value for k, value in enumerate(within)) + sum(
            own[:, k : k + 1] * experts[sources[0]][k] for k in range(count)
        )
    return views


@pytest.mark.parametrize("gates", [{"rank": 2}, {"rank": "split", "pairs": 2}], ids=["one", "mixed"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("count", [1, 2])
def test_home(count: int, training: bool, gates: dict[str, object]) -> None:
    options = HoME.model_validate({"hidden": HIDDEN, "experts": count, "groups": GROUPS, **gates})
    module, w = built(options, TASKS)
    given = embedded(TASKS, "shared")
    x, every = given.views["ctr"].numpy(), "all tasks"
    z = level(
        w, "of_groups.", dict.fromkeys(("group 0", every, "group 1"), x),
        {"group 0": (["group 0", every], x), "group 1": (["group 1", every], x),
         every: ([every, "group 0", "group 1"], x)}, (count, training),
    )
    beside = {name: np.concatenate([view, z[every]], 1) for name, view in z.items()}
    group = {"ctr": "group 0", "cvr": "group 1", "like": "group 1"}
    sources = ("ctr", "group 0", every, "cvr", "group 1", "like")
    wanted = level(
        w, "of_tasks.", {source: z[group.get(source, source)] for source in sources},
        {task: ([task, group[task], every], beside[group[task]]) for task in TASKS}, (count, training),
    )
    found = module.train(training)(given)
    for task in TASKS:
        np.testing.assert_allclose(found.views[task].detach(), wanted[task], atol=1e-6)
    assert set(found.gates) == {
        *TASKS, "group 0 level 1", "group 1 level 1", "all tasks level 1"
    }
    assert found.gates["ctr"].experts == tuple(
        f"{source} {k}" for source in ("ctr", "group 0", every) for k in range(count)
    )


@pytest.mark.parametrize(("hidden", "experts", "pairs"), [((2, 2), 1, 1), ((2,), 2, 1), ((2,), 1, 2)])
def test_gradients(hidden: tuple[int, ...], experts: int, pairs: int) -> None:
    options = HoME(hidden=hidden, experts=experts, rank=1, pairs=pairs, groups=GROUPS)
    module, _ = built(options, TASKS)

    def views(shared: Shared) -> list[torch.Tensor]:
        return list(shared.views.values())

    assert gradients_are_right(module.train(), embedded(TASKS, "shared"), views)


def test_pairs_may_share_the_inputs_columns() -> None:
    """Rank |v| / L for each of L pairs, of each level's own inputs: 6 columns, then 5."""
    _, w = built(HoME(hidden=(5,), rank="split", pairs=2), TASKS)
    assert [w[f"{level}.features.into.0.weight"].shape for level in ("of_groups", "of_tasks")] == [
        (3, 6), (2, 5)
    ]
    whole, _ = built(HoME(hidden=(5,), rank="split", pairs=9), TASKS)
    assert whole.get_parameter("of_groups.features.into.0.weight").shape == (1, 6)


def test_files_that_name_no_pairs_keep_their_digest_and_their_weights() -> None:
    assert set(HoME(rank=4).model_dump()) == {*HoME.model_fields} - {"pairs"}
    assert set(HoME(rank=4, pairs=2).model_dump()) == {*HoME.model_fields}
    module, _ = built(HoME(hidden=HIDDEN), TASKS)
    assert not any(".mix." in name for name in module.state_dict())


def test_an_epoch_may_end_with_a_batch_of_one_row() -> None:
    module, _ = built(HoME(hidden=HIDDEN), TASKS)
    x = embedded(TASKS, "shared").views["ctr"][:1]
    assert module.train()(Embedded(dict.fromkeys(TASKS, x), x)).views["ctr"].isfinite().all()


def test_groups_hold_every_tower_once() -> None:
    refused = "sharing.groups: each of the towers ctr, cvr, like stands in one group"
    assert HoME(groups=(("ctr",), ("cvr",))).refusal(TASKS, []) == refused
    assert HoME(groups=(("ctr", "cvr"), ("cvr", "like"))).refusal(TASKS, []) == refused
    assert HoME(groups=(("like", "ctr"), ("cvr",))).refusal(TASKS, []) is None
