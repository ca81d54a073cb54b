"""Every kind of part learns on a GPU as on CPU: recorded steps and steps that are launched anew."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from recmtl.batch import Batch
from recmtl.learn import TrainConfig
from recmtl.learn.fit import fit
from recmtl.learn.group import ALONE
from recmtl.learn.optim import build_optimizers
from recmtl.learn.step import Objective, make_step, parameters
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.interaction import Interaction
from recmtl.model.multitask import MultiTask, build_model
from recmtl.schema import Task
from recmtl.schema.freeze import Freeze
from recmtl.schema.losses import SampledSoftmax
from recmtl.schema.weighting import WeightingConfig
from recmtl.suite import checks
from recmtl.suite.made_up import LAYOUT, make_batch
from recmtl.suite.made_up import TASKS as MODEL_TASKS
from tests.heads import made_up as heads
from tests.kernels.test_gpu import needs_gpu
from tests.learn import test_fit as fits

pytestmark = needs_gpu
STEPS, ROWS = 8, 200
PRECISIONS = pytest.mark.parametrize("precision", ["fp32", "bf16"])
PLAIN: dict[str, Any] = {"kind": "separate"}
ALONE_EACH: dict[str, Any] = {"kind": "independent"}
Made = tuple[MultiTask, Objective]


def losses(
    device: str, make: Callable[[], Made], batch_of: Callable[..., Batch], **train: object
) -> list[dict[str, float]]:
    """Of a fresh model's first steps, each on a batch of its own."""
    model, objective = make()
    config = TrainConfig.model_validate({"monitor": "auc_valid/ctr", "learning_rate": 0.01, **train})
    model.to(device).train()
    optimizers = build_optimizers(*parameters(model), config)
    optimizers += objective.weigher.to(device).optimizers(config)
    step = make_step(model, objective, optimizers, config, ALONE)
    found = []
    for turn in range(STEPS):
        taken = step(batch_of(ROWS, seed=turn).to(torch.device(device)))
        found.append({name: float(loss) for name, loss in taken.items()})
    return found


def same_on_both(make: Callable[[], Made], batch_of: Callable[..., Batch], precision: str) -> None:
    """By the losses of steps, the later ones of which say what the earlier ones have moved."""
    on_cpu, on_gpu = (
        losses(device, make, batch_of, precision=precision) for device in ("cpu", "cuda")
    )
    slack = {"fp32": 5e-3, "bf16": 5e-2}[precision]
    for ours, theirs in zip(on_gpu, on_cpu, strict=True):
        assert ours == pytest.approx(theirs, rel=slack, abs=slack)


def of_parts(config: ModelConfig) -> Callable[[], Made]:
    def make() -> Made:
        model = checks.made(config)
        return model, Objective(
            MODEL_TASKS, config.loss, checks.on_batch(make_batch(1000)), config.weighting, config.freeze
        )

    return make


WITH_OPTIONS: list[dict[str, Any]] = [
    *({"kind": kind, "balance": 0.1, "temperature": 2.0} for kind in ("mmoe", "cgc")),
    {"kind": "pepnet", "domain": ["item"], "prior": ["user", "age"]},
    {"kind": "home", "pairs": 2, "rank": 3},
    {"kind": "soft_sharing", "distance": "trace_norm"},
]
CASES = [
    config
    for sharings, relations in ((None, [ALONE_EACH]), ([PLAIN], None), (WITH_OPTIONS, [ALONE_EACH]))
    for config in checks.cases(sharings, relations)
]


@PRECISIONS
@pytest.mark.parametrize("config", CASES, ids=checks.named)
def test_every_sharing_and_every_relation(config: ModelConfig, precision: str) -> None:
    same_on_both(of_parts(config), make_batch, precision)


@PRECISIONS
@pytest.mark.parametrize(("kind", "tables"), [("mmoe", "per_task"), ("shared_bottom", "per_task"),
                                              ("stem", "both"), ("separate", "per_task")])
def test_tables_of_tasks(kind: str, tables: str, precision: str) -> None:
    config = checks.settings({"kind": kind}, ALONE_EACH, "all_rows")
    given = {**config.model_dump(), "tables": tables}
    same_on_both(of_parts(ModelConfig.model_validate(given)), make_batch, precision)


@PRECISIONS
@pytest.mark.parametrize("kind", checks.kinds(Interaction))
@pytest.mark.parametrize("sharing", ["mmoe", "stem"])
def test_every_interaction(sharing: str, kind: str, precision: str) -> None:
    config = checks.settings({"kind": sharing}, ALONE_EACH, "all_rows", {"kind": kind})
    same_on_both(of_parts(config), make_batch, precision)


@PRECISIONS
@pytest.mark.parametrize("options", [{}, {"softmax": True}, {"activation": "prelu"},
                                     {"activation": "dice"}], ids=str)
def test_target_attention(options: dict[str, Any], precision: str) -> None:
    pooling = {"history": {"target": "item", **options}}
    config = checks.settings({"kind": "mmoe"}, ALONE_EACH, "all_rows")
    same_on_both(
        of_parts(ModelConfig.model_validate({**config.model_dump(), "pooling": pooling})),
        make_batch, precision,
    )


@PRECISIONS
@pytest.mark.parametrize("task", heads.TASKS.values(), ids=heads.TASKS)
def test_every_head(task: Task, precision: str) -> None:
    given = SampledSoftmax(proposal="uniform") if task.type == "retrieval" else None  # each class once

    def make() -> Made:
        aim = heads.objective_of(task, heads.batch_of(1000), given)
        return heads.model_of(task, aim), aim

    same_on_both(make, heads.batch_of, precision)


@pytest.mark.parametrize("kind", ["pairwise", "listwise"])
def test_every_ranking(kind: str) -> None:
    config = checks.settings({"kind": "mmoe"}, ALONE_EACH, "all_rows")
    loss = {"ctr": {"kind": "cross_entropy", "ranking": {"kind": kind}}, "ctcvr": 1.0}

    def batch_of(rows: int, seed: int) -> Batch:
        return replace(make_batch(rows, seed), together=torch.arange(rows) // 5)

    same_on_both(
        of_parts(ModelConfig.model_validate({**config.model_dump(), "loss": loss})), batch_of, "fp32"
    )


@pytest.mark.parametrize("on", ["features", "parameters"])
@pytest.mark.parametrize("kind", checks.kinds(WeightingConfig))
def test_every_weighting(kind: str, on: str) -> None:
    if kind in ("uncertainty", "dwa", "famo"):
        options: dict[str, Any] = {"kind": kind}
    else:
        options = {"kind": kind, "on": on}
    config = checks.settings({"kind": "mmoe"}, ALONE_EACH, "with_regression")
    config = ModelConfig.model_validate({**config.model_dump(), "weighting": options})
    same_on_both(of_parts(config), make_batch, "fp32")


def weights(
    tmp_path: Path, device: str, freeze: Freeze | None, **train: object
) -> dict[str, torch.Tensor]:
    """Of a model after some epochs."""
    model, parts, objective = fits.setup({"ctr": 1.0, "ctcvr": 1.0})
    train_part, valid = (part.on(device) for part in (parts.train, parts.valid))  # type: ignore[attr-defined]
    there = replace(parts, train=train_part, valid=valid)
    config = TrainConfig.model_validate(
        {"monitor": "auc_valid/ctcvr", "epochs": 4, "patience": 4, **train}
    )
    list(fit(model.to(device), there, replace(objective, freeze=freeze), config, fits.keep(tmp_path)))
    return {name: tensor.cpu() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize(
    ("freeze", "train"),
    [(Freeze.model_validate({"tables": 1, "towers": {"ctr": 2}}), {}), (None, {"task_patience": 1})],
    ids=["parts that stand still", "tasks that stop"],
)
def test_what_rests_is_that_on_cpu(tmp_path: Path, freeze: Freeze | None, train: dict[str, Any]) -> None:
    on_cpu, on_gpu = (
        weights(tmp_path / device, device, freeze, **train) for device in ("cpu", "cuda")
    )
    for name, tensor in on_cpu.items():
        torch.testing.assert_close(on_gpu[name], tensor, rtol=1e-2, atol=1e-3, msg=name)


def test_embeddings_that_begin_with_a_file_s_values_stay_where_they_are_frozen() -> None:
    config = checks.settings({"kind": "mmoe"}, ALONE_EACH, "all_rows")
    model = build_model(config, EmbeddingConfig(width=4), LAYOUT, MODEL_TASKS)
    rows, values = torch.tensor([4, 7]), torch.arange(8.0).view(2, 4)
    model.embedding.start(rows, values, frozen=True)
    objective = Objective(MODEL_TASKS, config.loss, checks.on_batch(make_batch(1000)))
    losses("cuda", lambda: (model, objective), make_batch)
    table = model.get_parameter("embedding.tables.4").detach().cpu()
    assert torch.equal(table[rows], values)
