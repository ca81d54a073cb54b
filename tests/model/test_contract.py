"""What every sharing under every relation, and every interaction, must do: walked over the kinds."""

from dataclasses import replace

import pytest
import torch

from recmtl.errors import RecmtlError
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.interaction import Interaction
from recmtl.model.multitask import MultiTask, build_model
from recmtl.model.relation import Relation
from recmtl.model.settings import TowerConfig
from recmtl.model.sharing import Sharing
from recmtl.model.sharing.options import Tables
from recmtl.plugins import classes_of as classes
from recmtl.schema import Task
from recmtl.suite import checks
from recmtl.suite.checks import LOSSES, kinds
from recmtl.suite.made_up import LAYOUT, TASKS, make_batch


def config(sharing: str, relation: str, loss: str, interaction: str = "none") -> ModelConfig:
    return checks.settings({"kind": sharing}, {"kind": relation}, loss, {"kind": interaction})


LEGAL = {r: [name for name in LOSSES if config("separate", r, name).refusal(TASKS) is None]
         for r in kinds(Relation)}
MEETING = [kind for kind in kinds(Interaction) if kind != "none"]
WALK = [(s, r, name, "none") for s in kinds(Sharing) for r in kinds(Relation) for name in LEGAL[r]]
CASES = [
    *WALK, *((s, "independent", "all_rows", i) for s in kinds(Sharing) for i in MEETING),
    *(("mmoe", r, LEGAL[r][0], i) for r in kinds(Relation) for i in MEETING),
]
PAIRS = [(s, r, name, i) for s, r, name, i in CASES if s == "mmoe" or name == LEGAL[r][0]]
every_case = pytest.mark.parametrize(("sharing", "relation", "loss", "interaction"), [
    pytest.param(*case, marks=() if case in PAIRS else pytest.mark.slow) for case in CASES
])


def model_for(
    sharing: str, relation: str, loss: str, interaction: str = "none", tables: Tables | None = None
) -> MultiTask:
    chosen = config(sharing, relation, loss, interaction)
    return checks.made(chosen.model_copy(update={"tables": tables}))


def test_every_case_is_in_the_walk_that_packages_take() -> None:
    assert checks.cases() == [config(*case) for case in WALK]


@every_case
@pytest.mark.parametrize("check", [
    checks.shapes_and_reported_tasks, checks.gradients_reach_every_parameter,
    checks.a_permuted_batch_has_permuted_outputs, checks.saved_and_loaded_gives_equal_outputs,
    checks.it_trains_in_fp32_and_scores_rows_without_labels,
    checks.it_trains_in_bf16_and_scores_rows_without_labels,
], ids=lambda check: check.__name__)
def test_under_every_relation(
    check: checks.Check, sharing: str, relation: str, loss: str, interaction: str
) -> None:
    check(config(sharing, relation, loss, interaction))


def test_every_relation_serves_some_losses() -> None:
    on_all_rows = ["all_rows", "with_regression", "every_task"]
    serves = {
        "independent": [*LOSSES], "product": on_all_rows, "aitm": on_all_rows, "chain": on_all_rows,
        "label_chain": on_all_rows, "dbmtl": on_all_rows,
        "escm2": ["clicked_rows", "every_task"],
    }
    assert serves == LEGAL


@pytest.mark.parametrize(
    ("relation", "loss", "interaction"),
    [*((r, names[0], "none") for r, names in LEGAL.items()),
     *(("independent", "all_rows", i) for i in MEETING)],
)
def test_layers_in_bf16_score_as_those_that_are_cast_at_each_batch(
    relation: str, loss: str, interaction: str
) -> None:
    model, batch = model_for("mmoe", relation, loss, interaction), replace(make_batch(64), labels={})
    with torch.no_grad():
        exact = model.scores(model(batch), batch)
        with torch.autocast("cpu", torch.bfloat16):
            cast, half = model.scores(model(batch), batch), model.with_bf16_layers()
            found = half.scores(half(batch), batch)
    for task, scores in found.items():
        assert torch.equal(scores, cast[task])
        torch.testing.assert_close(scores, exact[task], rtol=0.0, atol=0.02)


@pytest.mark.parametrize(
    ("sharing", "interaction"), [*((s, "none") for s in kinds(Sharing)), *(("mmoe", i) for i in MEETING)]
)
@pytest.mark.parametrize("check", [
    checks.the_loops_give_what_torch_gives_in_double_precision,
    checks.a_batch_of_one_row_is_scored_as_in_a_larger_one, checks.it_is_drawn_with_every_task,
], ids=lambda check: check.__name__)
def test_whatever_the_relation(check: checks.Check, sharing: str, interaction: str) -> None:
    check(config(sharing, "product", "all_rows", interaction))


ALONE = {"kind": "independent"}
OTHER = {
    "home of several pairs": checks.settings(
        {"kind": "home", "pairs": 2, "rank": "split"}, ALONE, "all_rows"
    ),
    "pepnet up to its logit": checks.settings(
        {"kind": "pepnet", "prior": ["user"], "output_gate": True}, ALONE, "all_rows"
    ).model_copy(update={"towers": TowerConfig(hidden=())}),
    "a chain that reads true labels": checks.settings(
        {"kind": "mmoe"}, {"kind": "label_chain", "labels": "true"}, "all_rows"
    ),
    "a graph of deeper networks": checks.settings(
        {"kind": "mmoe"}, {"kind": "dbmtl", "before": {"cvr": ["ctr"], "minutes": ["cvr", "ctr"]},
                           "hidden": [7]}, "every_task",
    ),
}


@pytest.mark.parametrize("chosen", OTHER.values(), ids=OTHER)
@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_options_that_are_not_the_default(check: checks.Check, chosen: ModelConfig) -> None:
    check(chosen)


READ = [(s.model_fields["kind"].default, tables) for s in classes(Sharing) for tables in s.tables]


@pytest.mark.parametrize(("sharing", "tables", "interaction"), [
    *((*read, "none") for read in READ),
    *((s, tables, i) for s, tables in READ if s in ("cgc", "single") for i in MEETING),
])
def test_every_embedding_of_the_tables_that_it_reads_is_trained(
    sharing: str, tables: Tables, interaction: str
) -> None:
    model, batch = model_for(sharing, "independent", "all_rows", interaction, tables), make_batch(64)
    torch.stack([raw.sum() for raw in model(batch).raw.values()]).sum().backward()
    for width, table in model.embedding.tables.items():
        assert table.grad is not None
        copies = table.grad.to_dense().view(len(table), -1, int(width)).abs().sum((0, 2))
        assert len(copies) == {"shared": 1, "per_task": 2, "both": 3}[tables] and (copies > 0).all()


@pytest.mark.parametrize("sharing", kinds(Sharing))
def test_product_without_a_loss_on_a_product_is_refused(sharing: str) -> None:
    refused = config(sharing, "product", "clicked_rows").refusal(TASKS)
    assert refused is not None and "no product has a loss" in refused


@pytest.mark.parametrize("sharing", kinds(Sharing))
def test_product_without_a_declared_product_is_refused(sharing: str) -> None:
    tasks = {name: task for name, task in TASKS.items() if name != "ctcvr"}
    refused = ModelConfig.model_validate({
        "sharing": {"kind": sharing}, "relation": {"kind": "product"}, "loss": {"ctr": 1.0},
    }).refusal(tasks)
    assert refused is not None and "no task declares a product" in refused


@pytest.mark.parametrize("name", ["items", "type", "training"])
def test_a_task_that_torch_could_not_hold_is_refused(name: str) -> None:
    config = ModelConfig.model_validate({"sharing": {"kind": "shared_bottom"}, "loss": {name: 1.0}})
    with pytest.raises(RecmtlError, match=rf"\[tasks\] {name}"):
        build_model(config, EmbeddingConfig(), LAYOUT, {name: Task(label="click")})
