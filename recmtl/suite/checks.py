"""What every sharing under every relation must do. Each check takes a model's settings, and asserts."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree

import torch

from recmtl.batch import Batch
from recmtl.heads import head_of
from recmtl.learn.checkpoint import load_weights, save_weights
from recmtl.learn.group import ALONE
from recmtl.learn.losses import task_loss
from recmtl.learn.optim import build_optimizers
from recmtl.learn.settings import TrainConfig
from recmtl.learn.step import Objective, make_step, parameters
from recmtl.learn.tasks import TaskStatistics, statistics
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.drawing import draw
from recmtl.model.multitask import MultiTask, build_model
from recmtl.model.relation import Relation
from recmtl.model.sharing import Sharing
from recmtl.plugins import classes_of
from recmtl.seed import seed_everything
from recmtl.suite.made_up import LAYOUT, TASKS, make_batch, permute

LOSSES: Mapping[str, dict[str, float]] = {
    "all_rows": {"ctr": 1.0, "ctcvr": 1.0},
    "clicked_rows": {"ctr": 1.0, "cvr": 1.0},
    "with_regression": {"ctr": 1.0, "ctcvr": 0.5, "minutes": 0.1},
    "every_task": {"ctr": 1.0, "cvr": 0.5, "ctcvr": 1.0, "minutes": 0.1},
}
CHAIN = {"chain": ["ctr", "ctcvr"]}
# Options that a relation or an interaction does not do without.
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "aitm": CHAIN, "chain": CHAIN, "label_chain": CHAIN, "dbmtl": {"before": {"ctcvr": ["ctr"]}},
    "fm": {"features": ["item", "user", "history"]},
}
SMALL = {"hidden": [8, 6]}
Options = Mapping[str, Any]
NO_INTERACTION: Options = MappingProxyType({"kind": "none"})
Check = Callable[[ModelConfig], None]


def kinds(union: object) -> list[str]:
    """The built-in kinds of a part."""
    return [kind.model_fields["kind"].default for kind in classes_of(union)]


def settings(
    sharing: Options, relation: Options, loss: str, interaction: Options = NO_INTERACTION
) -> ModelConfig:
    """A small model of these parts, with one of LOSSES."""
    return ModelConfig.model_validate({
        "interaction": {**NEEDED.get(str(interaction["kind"]), {}), **interaction},
        "sharing": {**SMALL, **sharing},
        "relation": {**NEEDED.get(str(relation["kind"]), {}), **relation},
        "towers": {"hidden": [5]}, "loss": LOSSES[loss],
    })


def cases(
    sharings: Sequence[Options] | None = None, relations: Sequence[Options] | None = None
) -> list[ModelConfig]:
    """Each sharing under each relation with all losses that both serve; the built-in ones by default.

    A part is given as it stands in a file, e.g. {"kind": "mmoe", "experts": 3}.
    """
    features = [*LAYOUT.dense, *(slot.name for slot in (*LAYOUT.slots, *LAYOUT.lists))]
    found = [
        settings(sharing, relation, loss)
        for sharing in sharings or [{"kind": kind} for kind in kinds(Sharing)]
        for relation in relations or [{"kind": kind} for kind in kinds(Relation)]
        for loss in LOSSES
    ]
    return [
        config for config in found if config.refusal(TASKS) is None
        and config.sharing.refusal(config.towers_for(TASKS), features) is None
    ]


def named(config: ModelConfig) -> str:
    """A case in a word: sharing, relation and losses."""
    return f"{config.sharing.kind}-{config.relation.kind}-{'+'.join(config.loss)}"


def made(config: ModelConfig, seed: int = 3) -> MultiTask:
    seed_everything(seed)
    return build_model(config, EmbeddingConfig(width=4, init=0.5), LAYOUT, TASKS).eval()


def on_batch(batch: Batch) -> dict[str, TaskStatistics]:
    return statistics(TASKS, {n: t.numpy() for n, t in batch.labels.items()}, batch.weight.numpy())


def shapes_and_reported_tasks(config: ModelConfig) -> None:
    """A score (B,) of each task that it reports, probabilities within 0 and 1; gates that sum to 1."""
    model = made(config)
    batch = make_batch(7)
    output = model(batch)
    scores = model.scores(output, batch)
    assert set(scores) == set(config.reports(TASKS))
    assert set(config.loss) <= set(output.raw)
    for task, score in scores.items():
        assert score.shape == (7,) and score.dtype == torch.float32
        if head_of(TASKS[task]).calibrated:
            assert ((score >= 0) & (score <= 1)).all()
    for gate in output.gates.values():
        assert gate.weights.shape == (7, len(gate.experts))
        torch.testing.assert_close(gate.weights.sum(1), torch.ones(7))


def gradients_reach_every_parameter(config: ModelConfig) -> None:
    """From the losses and the penalties, finite ones."""
    model, batch = made(config).train(), make_batch(64)
    output, aim = model(batch), Objective(TASKS, config.loss, on_batch(batch))
    torch.autograd.backward(aim.total({**aim.losses(output, batch), **output.penalties}))
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        gradient = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
        assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0, name


def a_permuted_batch_has_permuted_outputs(config: ModelConfig) -> None:
    """A row's scores and gates do not depend on its place."""
    model, batch = made(config), make_batch(16)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    straight, shuffled = model(batch), model(permute(batch, order))
    for task, raw in straight.raw.items():
        torch.testing.assert_close(shuffled.raw[task], raw[order])
    for task, gate in straight.gates.items():
        torch.testing.assert_close(shuffled.gates[task].weights, gate.weights[order])


def saved_and_loaded_gives_equal_outputs(config: ModelConfig) -> None:
    """All that a model scores with is in its weights."""
    model, other, batch = made(config), made(config, seed=99), make_batch(9)
    with TemporaryDirectory() as folder:
        save_weights(model, Path(folder) / "weights.safetensors")
        load_weights(other, Path(folder) / "weights.safetensors")
        for task, raw in model(batch).raw.items():
            assert torch.equal(other(batch).raw[task], raw)


def it_trains_in_fp32_and_scores_rows_without_labels(config: ModelConfig) -> None:
    _trains(config, "fp32")


def it_trains_in_bf16_and_scores_rows_without_labels(config: ModelConfig) -> None:
    _trains(config, "bf16")


def _trains(config: ModelConfig, precision: str) -> None:
    model, batch = made(config).train(), make_batch(64)
    aim, bare = Objective(TASKS, config.loss, on_batch(batch)), replace(batch, labels={})
    train = TrainConfig.model_validate(
        {"monitor": "auc_valid/ctr", "precision": precision, "learning_rate": 0.02}
    )
    step = make_step(model, aim, build_optimizers(*parameters(model), train), train, ALONE)
    totals = [float(aim.total(step(batch))) for _ in range(8)]
    assert totals[-1] < totals[0]
    with torch.no_grad():
        output = model.eval()(bare)
        assert output.penalties == {}
        assert all(torch.equal(raw, output.raw[task]) for task, raw in model(batch).raw.items())


def the_loops_give_what_torch_gives_in_double_precision(config: ModelConfig) -> None:
    """Raw outputs and gradients in fp32, by the compiled loops, are those of fp64."""
    fast, batch = made(config), make_batch(64)
    plain, known = deepcopy(fast).double(), on_batch(batch)
    for model, given in ((fast, batch), (plain, replace(batch, dense=batch.dense.double()))):
        raw = model(given).raw
        losses = [task_loss(TASKS[task], raw[task], given, known[task]) for task in config.loss]
        torch.autograd.backward(torch.stack(losses).sum())
    found, wanted = fast(batch).raw["ctr"].double(), plain(batch).raw["ctr"]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    for (name, ours), theirs in zip(fast.named_parameters(), plain.parameters(), strict=True):
        if ours.grad is None or theirs.grad is None:  # what training alone reads
            assert ours.grad is theirs.grad is None, name
            continue
        found, wanted = (g.to_dense() if g.is_sparse else g for g in (ours.grad, theirs.grad))
        torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5, msg=name)


def a_batch_of_one_row_is_scored_as_in_a_larger_one(config: ModelConfig) -> None:
    model, batch = made(config), make_batch(5)
    alone = permute(batch, torch.tensor([3]))
    for task, raw in model(batch).raw.items():
        torch.testing.assert_close(model(alone).raw[task], raw[3:4])


def a_part_of_a_batch_without_rows_moves_nothing(config: ModelConfig) -> None:
    """As one of several processes may have of an epoch's last batch: losses are 0, gradients finite."""
    model, whole = made(config).train(), make_batch(8)
    aim = Objective(TASKS, config.loss, on_batch(make_batch(64)))
    part = replace(permute(whole, torch.tensor([], dtype=torch.long)), whole=len(whole))
    output = model(part)
    losses = {**aim.losses(output, part), **output.penalties}
    aim.total(losses).backward()  # type: ignore[no-untyped-call]
    assert all(torch.isfinite(loss) for loss in losses.values()), losses
    assert all(losses[task] == 0 for task in config.loss)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert torch.isfinite(parameter.grad.to_dense()).all(), name


def it_is_drawn_with_every_task(config: ModelConfig) -> None:
    model, batch = made(config), make_batch(3)
    drawing = ElementTree.fromstring(draw(model, "a model"))
    assert set(model.scores(model(batch), batch)) <= {text.text for text in drawing.iter()}


CHECKS: Sequence[Check] = (
    shapes_and_reported_tasks, gradients_reach_every_parameter, a_permuted_batch_has_permuted_outputs,
    saved_and_loaded_gives_equal_outputs, it_trains_in_fp32_and_scores_rows_without_labels,
    it_trains_in_bf16_and_scores_rows_without_labels,
    the_loops_give_what_torch_gives_in_double_precision, a_batch_of_one_row_is_scored_as_in_a_larger_one,
    a_part_of_a_batch_without_rows_moves_nothing, it_is_drawn_with_every_task,
)
