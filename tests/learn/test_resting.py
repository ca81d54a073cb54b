"""Parts that are frozen and tasks that have stopped: to the last bit, whatever an optimizer decays."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from recmtl.learn import TrainConfig
from recmtl.learn.epoch import Epoch
from recmtl.learn.fit import fit
from recmtl.learn.resting import stopped
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.multitask import MultiTask, build_model
from recmtl.schema.freeze import Freeze
from recmtl.schema.weighting import FAMO, MGDA, GradNorm, Uncertainty, WeightingConfig
from recmtl.seed import seed_everything
from recmtl.suite.made_up import LAYOUT, TASKS
from tests.learn.test_fit import keep, setup

LOSS = {"ctr": 1.0, "ctcvr": 1.0, "minutes": 1.0}
DECAYING = {"weight_decay": 0.1, "table_l2": 0.1, "learning_rate": 0.01}
WEIGHTINGS = [None, Uncertainty(), FAMO(), GradNorm(), MGDA()]


def epochs(
    folder: Path, sharing: str = "home", weighting: WeightingConfig | None = None,
    freeze: Freeze | None = None, **train: object,
) -> Iterator[tuple[Epoch, dict[str, Tensor]]]:
    """Each epoch of a fit, with every parameter and buffer after it; before the first, the beginning.

    On valid minutes are far below those of train: what is learned makes them no better.
    """
    _, parts, objective = setup(LOSS, weighting=weighting)
    minutes = parts.labels["minutes"]
    minutes[~np.isnan(minutes)] = -100.0
    config = ModelConfig.model_validate({
        "sharing": {"kind": sharing, "hidden": [8]}, "towers": {"hidden": [8]}, "loss": LOSS,
        "relation": {"kind": "aitm", "chain": ["ctr", "ctcvr"]},
    })
    seed_everything(1)
    model = build_model(config, EmbeddingConfig(width=4), LAYOUT, TASKS)
    settings = TrainConfig.model_validate({
        "monitor": "auc_valid/ctcvr", "epochs": 4, "patience": 4, **DECAYING, **train,
    })
    yield Epoch(0, {}, {}, {}, False), copied(model)
    for epoch in fit(model, parts, replace(objective, freeze=freeze), settings, keep(folder)):
        yield epoch, copied(model)


def copied(model: MultiTask) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """The parts of which something changed: tables, sharing, relation, a tower."""
    names = {name for name in before if not torch.equal(before[name], after[name])}
    return {".".join(name.split(".")[: 2 if name.startswith(("towers", "embedding")) else 1])
            for name in names}


ALL = {"embedding.tables", "sharing", "relation", "towers.ctr", "towers.ctcvr", "towers.minutes"}


@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=repr)
def test_a_frozen_part_is_as_it_was_and_moves_after_its_epochs(
    tmp_path: Path, weighting: WeightingConfig | None
) -> None:
    freeze = Freeze.model_validate({"tables": 1, "sharing": 2, "relation": 3, "towers": {"ctr": 2}})
    _, *weights = (state for _, state in epochs(tmp_path, weighting=weighting, freeze=freeze))
    start = next(epochs(tmp_path / "again"))[1]
    found = [moved(before, after) for before, after in zip([start, *weights], weights, strict=False)]
    assert found[0] == {"towers.ctcvr", "towers.minutes"}
    assert found[1] == {"towers.ctcvr", "towers.minutes", "embedding.tables"}
    assert found[2] == ALL - {"relation"}
    assert found[3] == ALL


def test_all_towers_freeze_by_one_number(tmp_path: Path) -> None:
    (_, start), (_, first), (_, second), *_ = epochs(tmp_path, freeze=Freeze(towers=1))
    assert moved(start, first) == {"embedding.tables", "sharing", "relation"}
    assert moved(first, second) == ALL


CONFIG = TrainConfig(monitor="auc_valid/ctcvr", task_patience=2)
PAST = [
    {"auc_valid/ctr": 0.7, "auc_valid/ctcvr": 0.60, "rmse_valid/minutes": 3.0, "logloss_valid/ctr": 0.5},
    {"auc_valid/ctr": 0.6, "auc_valid/ctcvr": 0.61, "rmse_valid/minutes": 3.5, "logloss_valid/ctr": 0.4},
    {"auc_valid/ctr": 0.7, "auc_valid/ctcvr": 0.60, "rmse_valid/minutes": 2.9, "logloss_valid/ctr": 0.3},
    {"auc_valid/ctr": 0.8, "auc_valid/ctcvr": 0.62, "rmse_valid/minutes": 3.0, "logloss_valid/ctr": 0.2},
]


def test_a_task_stops_after_so_many_epochs_without_a_better_metric_of_its_own() -> None:
    """ctr equals its first two epochs later, which is not better, and what is better then comes too late.

    The errors of minutes fall in the third.
    """
    tasks = {name: TASKS[name] for name in LOSS}
    assert [set(stopped(tasks, CONFIG, PAST[:n])) for n in range(5)] == [
        set(), set(), set(), {"ctr"}, {"ctr"},
    ]
    by_logloss = CONFIG.model_copy(update={"monitor": "logloss_valid/ctr"})
    assert not stopped({"ctr": TASKS["ctr"]}, by_logloss, PAST)
    assert not stopped(tasks, CONFIG.model_copy(update={"task_patience": None}), PAST)
    assert not stopped({"cvr": TASKS["cvr"]}, CONFIG, PAST)  # valid says nothing of it


@pytest.mark.parametrize("weighting", WEIGHTINGS, ids=repr)
def test_a_task_that_has_stopped_leaves_the_sum_and_its_tower_stands(
    tmp_path: Path, weighting: WeightingConfig | None
) -> None:
    """Its own network stands still, too: nothing else teaches it."""
    *_, (_, before), (last, after) = epochs(tmp_path, "separate", weighting, task_patience=1, epochs=3)
    assert last.number == 3
    assert moved(before, after) == ALL - {"towers.minutes"}
    own = [name for name in after if name.startswith("sharing.networks.minutes")]
    assert own and all(torch.equal(before[name], after[name]) for name in own)
    assert last.metrics["weight/minutes"] == 0.0 < last.metrics["loss_train/minutes"]


def test_training_ends_where_every_task_has_stopped(tmp_path: Path) -> None:
    """With rates at which nothing moves no epoch is better than the first."""
    rates = {"learning_rate": 1e-12, "table_learning_rate": 1e-12, "weight_decay": 0.0, "table_l2": 0.0}
    found = list(epochs(tmp_path, "separate", task_patience=2, epochs=8, patience=8, **rates))
    assert len(found) == 1 + 3
