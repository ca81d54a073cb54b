"""Interactions against their formulas, written in numpy, and what becomes of the columns' names."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from recmtl.batch import Columns, Embedded
from recmtl.errors import RecmtlError
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.interaction import FM, DCNv2, NoInteraction
from recmtl.model.interaction.module import InteractionModule
from recmtl.model.multitask import MultiTask, build_model
from recmtl.suite.made_up import LAYOUT, TASKS, make_batch
from tests.model.by_hand import Array, Weights, drawn, embedded, gradients_are_right

VIEWS = ("ctr", "cvr", "all tasks")
COLUMNS = Columns({"item": slice(0, 2), "user": slice(2, 4), "tags": slice(4, 6)})
LOOKED_UP = {"item": 2, "user": 2, "tags": 2}


def built(options: FM | DCNv2, columns: Columns = COLUMNS) -> tuple[InteractionModule, Weights]:
    return drawn(options.build(columns, LOOKED_UP, VIEWS))


def views_of(given: Embedded) -> dict[str, Array]:
    named = {**given.views, **({} if given.shared is None else {"all tasks": given.shared})}
    return {name: view.detach().numpy() for name, view in named.items()}


def pairs(embeddings: list[Array]) -> Array:
    return sum((a * b for a, b in combinations(embeddings, 2)), np.zeros_like(embeddings[0]))


@pytest.mark.parametrize("tables", ["shared", "per_task", "both"])
def test_fm_adds_the_products_of_all_pairs(tables: str) -> None:
    module, weights = built(FM())
    assert weights == {}
    given = embedded(("ctr", "cvr"), tables)
    found = views_of(module(given))
    for name, view in views_of(given).items():
        wanted = np.concatenate([view, pairs([view[:, i : i + 2] for i in (0, 2, 4)])], 1)
        np.testing.assert_allclose(found[name], wanted, atol=1e-12)
    assert (module(given).shared is None) == (tables == "per_task")


def test_fm_of_some_features_that_do_not_lie_side_by_side() -> None:
    module, _ = built(FM(features=("tags", "item")))
    given = embedded(("ctr",), "shared")
    view = given.views["ctr"].numpy()
    np.testing.assert_allclose(
        module(given).views["ctr"][:, 6:], view[:, :2] * view[:, 4:], atol=1e-12
    )
    assert len(module(Embedded({"ctr": torch.empty(0, 6)})).views["ctr"]) == 0


def test_fm_in_bf16_is_summed_in_fp32() -> None:
    """Of 64 embeddings near each other the two squares differ by little more than bf16 rounds away."""
    columns = Columns({str(i): slice(i, i + 1) for i in range(64)})
    view = torch.cat([torch.ones(1, 32), -torch.ones(1, 32)], 1).bfloat16()
    module = FM().build(columns, dict.fromkeys(columns.slices, 1), ["ctr"])
    assert module(Embedded({"ctr": view})).views["ctr"][0, -1].item() == -32.0
    view = torch.full((1, 64), 0.1).bfloat16()
    wanted = 64 * 63 / 2 * float(view[0, 0]) ** 2
    found = module(Embedded({"ctr": view})).views["ctr"][0, -1].item()
    assert found == pytest.approx(wanted, rel=2**-8)  # the rounding of what comes out, and no more


def crossed(w: Weights, name: str, first: Array, layers: int, rank: int | None) -> Array:
    x = first
    for layer in range(layers):
        prefix = f"networks.{name}.{layer}"
        matrix = w[f"{prefix}.0.weight"]
        if rank:
            assert matrix.shape == (rank, 6) and f"{prefix}.0.bias" not in w
            matrix, bias = w[f"{prefix}.1.weight"] @ matrix, w[f"{prefix}.1.bias"]
        else:
            bias = w[f"{prefix}.0.bias"]
        x = np.stack([first[b] * (matrix @ x[b] + bias) + x[b] for b in range(len(x))])
    return x


@pytest.mark.parametrize("tables", ["shared", "per_task", "both"])
@pytest.mark.parametrize("output", ["parallel", "stacked"])
@pytest.mark.parametrize("rank", [None, 2])
def test_dcn_v2(rank: int | None, output: Any, tables: str) -> None:
    module, w = built(DCNv2(layers=3, rank=rank, output=output))
    given = embedded(("ctr", "cvr"), tables)
    found = views_of(module(given))
    for name, view in views_of(given).items():
        wanted = crossed(w, "all tasks" if tables == "shared" else name, view, 3, rank)
        if output == "parallel":
            wanted = np.concatenate([view, wanted], 1)
        np.testing.assert_allclose(found[name], wanted, atol=1e-9)


@pytest.mark.parametrize("options", [FM(), DCNv2(), DCNv2(rank=1, output="stacked")])
def test_gradients(options: FM | DCNv2) -> None:
    module, _ = built(options)

    def views(found: Embedded) -> list[torch.Tensor]:
        assert found.shared is not None
        return [*found.views.values(), found.shared]

    assert gradients_are_right(module, embedded(("ctr", "cvr"), "both"), views)


def test_a_view_that_tasks_share_is_made_once_and_stays_one() -> None:
    for options in (FM(), DCNv2()):
        module, _ = built(options)
        found = module(embedded(("ctr", "cvr"), "shared"))
        assert found.views["ctr"] is found.views["cvr"] is found.shared


def test_new_columns_have_a_name_and_old_ones_keep_theirs() -> None:
    for options, name, width in ((FM(), "pairs of fm", 2), (DCNv2(), "crosses of dcn_v2", 6)):
        columns = built(options)[0].columns
        assert columns.slices == {**COLUMNS.slices, name: slice(6, 6 + width)}
        assert columns.width == 6 + width
    assert built(DCNv2(output="stacked"))[0].columns == COLUMNS
    assert NoInteraction().build(COLUMNS, LOOKED_UP, VIEWS).columns == COLUMNS
    taken = Columns({**COLUMNS.slices, "pairs of fm": slice(6, 7)})
    with pytest.raises(RecmtlError, match="'pairs of fm': columns of a model have this name"):
        built(FM(), taken)


def model_of(interaction: dict[str, object], **options: object) -> MultiTask:
    torch.manual_seed(0)
    config = ModelConfig.model_validate({
        "interaction": interaction, "sharing": {"kind": "mmoe", "hidden": [4]},
        "loss": {"ctr": 1.0, "cvr": 1.0}, **options,
    })
    return build_model(config, EmbeddingConfig(width=4), LAYOUT, TASKS)


def test_a_sharing_reads_features_by_name_behind_an_interaction() -> None:
    sharing = {"kind": "pepnet", "hidden": [4], "domain": ["place"], "prior": ["user"]}
    plain = model_of({"kind": "none"}, sharing=sharing)
    model = model_of({"kind": "dcn_v2"}, sharing=sharing)
    assert model.sharing.domain.tolist() == plain.sharing.domain.tolist()
    width = plain.embedding.columns.width
    assert model.sharing.embedding_gate.below[0].in_features == len(model.sharing.domain) + 2 * width


@pytest.mark.parametrize(("tables", "views"), [("shared", ["all tasks"]), ("per_task", ["ctr", "cvr"])])
def test_tasks_with_tables_of_their_own_have_cross_layers_of_their_own(
    tables: str, views: list[str]
) -> None:
    model = model_of({"kind": "dcn_v2", "layers": 1}, tables=tables)
    assert list(model.interaction.networks) == views
    batch = make_batch(8)
    before = {task: raw.clone() for task, raw in model(batch).raw.items()}
    with torch.no_grad():
        model.interaction.networks[views[0]][0][0].bias += 1.0
    after = model(batch).raw
    assert not torch.equal(after["ctr"], before["ctr"])
    assert torch.equal(after["cvr"], before["cvr"]) == (tables == "per_task")


def test_features_that_fm_cannot_multiply_are_named() -> None:
    refused = FM().refusal({"item": 16, "user": 16, "place": 8})
    assert refused is not None and "item has 16, user has 16, place has 8; give them one width" in refused
    assert FM(features=("item", "user")).refusal({"item": 16, "user": 16, "place": 8}) is None
    refused = FM(features=("itm", "user")).refusal({"item": 16, "user": 16})
    assert refused is not None and "no feature 'itm' with an embedding; did you mean 'item'?" in refused
    refused = FM().refusal({"item": 16})
    assert refused is not None and "two features or more" in refused
    assert FM().refusal({"hot_*": 16}) is None
    assert FM(features=("hot_1", "hot_2")).refusal({"hot_*": 16}) is None
    with pytest.raises(RecmtlError, match="item has 4, user has 4, place has 8, history has 4"):
        model_of({"kind": "fm"})
