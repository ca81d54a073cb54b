"""What every sharing under every relation, and every interaction, must do: walked over the kinds."""

from copy import deepcopy
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch

from recmtl.batch import Batch
from recmtl.errors import RecmtlError
from recmtl.learn.checkpoint import load_weights, save_weights
from recmtl.learn.group import ALONE
from recmtl.learn.losses import task_loss
from recmtl.learn.optim import build_optimizers
from recmtl.learn.settings import TrainConfig
from recmtl.learn.step import Objective, make_step, parameters
from recmtl.learn.tasks import statistics
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.interaction import Interaction
from recmtl.model.multitask import MultiTask, build_model
from recmtl.model.relation import Relation
from recmtl.model.sharing import Sharing
from recmtl.model.sharing.options import Tables
from recmtl.schema import Task
from recmtl.seed import seed_everything
from tests.model.made_up import LAYOUT, TASKS, make_batch, permute


def classes(union: object) -> tuple[Any, ...]:
    found: tuple[Any, ...] = get_args(get_args(union)[0])
    return found


def kinds(union: object) -> list[str]:
    return [kind.model_fields["kind"].default for kind in classes(union)]


LOSSES = {
    "all_rows": {"ctr": 1.0, "ctcvr": 1.0},
    "clicked_rows": {"ctr": 1.0, "cvr": 1.0},
    "with_regression": {"ctr": 1.0, "ctcvr": 0.5, "minutes": 0.1},
    "every_task": {"ctr": 1.0, "cvr": 0.5, "ctcvr": 1.0, "minutes": 0.1},
}
CHAIN = {"chain": ["ctr", "ctcvr"]}
# Options that a relation or an interaction does not do without.
NEEDED: dict[str, dict[str, Any]] = {
    "aitm": CHAIN, "chain": CHAIN, "fm": {"features": ["item", "user", "history"]},
}


def config(sharing: str, relation: str, loss: str, interaction: str = "none") -> ModelConfig:
    return ModelConfig.model_validate({
        "interaction": {"kind": interaction, **NEEDED.get(interaction, {})},
        "sharing": {"kind": sharing, "hidden": [8, 6]},
        "relation": {"kind": relation, **NEEDED.get(relation, {})},
        "towers": {"hidden": [5]}, "loss": LOSSES[loss],
    })


LEGAL = {r: [name for name in LOSSES if config("separate", r, name).refusal(TASKS) is None]
         for r in kinds(Relation)}
MEETING = [kind for kind in kinds(Interaction) if kind != "none"]
CASES = [(s, r, name, "none") for s in kinds(Sharing) for r in kinds(Relation) for name in LEGAL[r]]
CASES += [(s, "independent", "all_rows", i) for s in kinds(Sharing) for i in MEETING]
CASES += [("mmoe", r, LEGAL[r][0], i) for r in kinds(Relation) for i in MEETING]
every_case = pytest.mark.parametrize(("sharing", "relation", "loss", "interaction"), CASES)


def model_for(
    sharing: str, relation: str, loss: str, interaction: str = "none", tables: Tables | None = None
) -> MultiTask:
    seed_everything(3)
    embedding = EmbeddingConfig(width=4, init=0.5)
    chosen = config(sharing, relation, loss, interaction).model_copy(update={"tables": tables})
    return build_model(chosen, embedding, LAYOUT, TASKS).eval()


@every_case
def test_shapes_and_reported_tasks(sharing: str, relation: str, loss: str, interaction: str) -> None:
    model, batch = model_for(sharing, relation, loss, interaction), make_batch(7)
    output = model(batch)
    scores = model.scores(output)
    assert set(scores) == set(config(sharing, relation, loss).reports(TASKS))
    assert set(LOSSES[loss]) <= set(output.raw)
    for task, score in scores.items():
        assert score.shape == (7,) and score.dtype == torch.float32
        if TASKS[task].type == "binary":
            assert ((score >= 0) & (score <= 1)).all()
    for gate in output.gates.values():
        assert gate.weights.shape == (7, len(gate.experts))
        torch.testing.assert_close(gate.weights.sum(1), torch.ones(7))


def test_every_relation_serves_some_losses() -> None:
    on_all_rows = ["all_rows", "with_regression", "every_task"]
    serves = {
        "independent": [*LOSSES], "product": on_all_rows, "aitm": on_all_rows, "chain": on_all_rows,
        "escm2": ["clicked_rows", "every_task"],
    }
    assert serves == LEGAL


def objective(loss: str, batch: Batch) -> Objective:
    known = statistics(TASKS, {n: t.numpy() for n, t in batch.labels.items()}, batch.weight.numpy())
    return Objective(TASKS, LOSSES[loss], known)


@every_case
def test_gradients_reach_every_parameter(
    sharing: str, relation: str, loss: str, interaction: str
) -> None:
    model, batch = model_for(sharing, relation, loss, interaction).train(), make_batch(64)
    output, aim = model(batch), objective(loss, batch)
    aim.total({**aim.losses(output, batch), **output.penalties}).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        gradient = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
        assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0, name


@every_case
def test_permuting_a_batch_permutes_its_outputs(
    sharing: str, relation: str, loss: str, interaction: str
) -> None:
    model, batch = model_for(sharing, relation, loss, interaction), make_batch(16)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    straight, shuffled = model(batch), model(permute(batch, order))
    for task, raw in straight.raw.items():
        torch.testing.assert_close(shuffled.raw[task], raw[order])
    for task, gate in straight.gates.items():
        torch.testing.assert_close(shuffled.gates[task].weights, gate.weights[order])


@every_case
def test_saved_and_loaded_gives_equal_outputs(
    tmp_path, sharing: str, relation: str, loss: str, interaction: str
) -> None:
    model, batch = model_for(sharing, relation, loss, interaction), make_batch(9)
    save_weights(model, tmp_path / "weights.safetensors")
    seed_everything(99)
    other = build_model(
        config(sharing, relation, loss, interaction), EmbeddingConfig(width=4), LAYOUT, TASKS
    ).eval()
    load_weights(other, tmp_path / "weights.safetensors")
    for task, raw in model(batch).raw.items():
        assert torch.equal(other(batch).raw[task], raw)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@every_case
def test_it_trains_and_scores_rows_without_labels(
    sharing: str, relation: str, loss: str, interaction: str, precision: str
) -> None:
    model, batch = model_for(sharing, relation, loss, interaction).train(), make_batch(64)
    aim, bare = objective(loss, batch), replace(batch, labels={})
    config = TrainConfig.model_validate(
        {"monitor": "auc_valid/ctr", "precision": precision, "learning_rate": 0.02}
    )
    step = make_step(model, aim, build_optimizers(*parameters(model), config), config, ALONE)
    totals = [float(aim.total(step(batch))) for _ in range(8)]
    assert totals[-1] < totals[0]
    with torch.no_grad():
        output = model.eval()(bare)
        assert output.penalties == {}
        assert all(torch.equal(raw, output.raw[task]) for task, raw in model(batch).raw.items())


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
        exact = model.scores(model(batch))
        with torch.autocast("cpu", torch.bfloat16):
            cast, half = model.scores(model(batch)), model.with_bf16_layers()
            found = half.scores(half(batch))
    for task, scores in found.items():
        assert torch.equal(scores, cast[task])
        torch.testing.assert_close(scores, exact[task], rtol=0.0, atol=0.02)


@pytest.mark.parametrize(
    ("sharing", "interaction"), [*((s, "none") for s in kinds(Sharing)), *(("mmoe", i) for i in MEETING)]
)
def test_the_loops_give_what_torch_gives_in_double_precision(sharing: str, interaction: str) -> None:
    fast, batch = model_for(sharing, "product", "all_rows", interaction), make_batch(64)
    plain = deepcopy(fast).double()
    known = statistics(TASKS, {n: t.numpy() for n, t in batch.labels.items()}, batch.weight.numpy())
    for model, given in ((fast, batch), (plain, replace(batch, dense=batch.dense.double()))):
        raw = model(given).raw
        losses = [task_loss(TASKS[task], raw[task], given, known[task]) for task in LOSSES["all_rows"]]
        torch.stack(losses).sum().backward()
    found, wanted = fast(batch).raw["ctr"].double(), plain(batch).raw["ctr"]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    for (name, ours), theirs in zip(fast.named_parameters(), plain.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None, name
        found, wanted = (g.to_dense() if g.is_sparse else g for g in (ours.grad, theirs.grad))
        torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5, msg=name)


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
def test_a_batch_of_one_row_is_scored_as_in_a_larger_one(sharing: str) -> None:
    model, batch = model_for(sharing, "independent", "all_rows"), make_batch(5)
    alone = permute(batch, torch.tensor([3]))
    torch.testing.assert_close(model(alone).raw["ctr"], model(batch).raw["ctr"][3:4])


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
