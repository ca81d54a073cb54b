"""A fit that is stopped at any step goes on to the weights of one that was not, bit for bit."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recmtl.batch import Batch
from recmtl.errors import RecmtlError
from recmtl.folder import read_manifest
from recmtl.learn import TrainConfig, resume
from recmtl.learn.epoch import Epoch
from recmtl.learn.fit import fit
from recmtl.learn.predict import Batches
from recmtl.learn.resume import Checkpoints, Standing
from recmtl.schema.freeze import Freeze
from recmtl.schema.weighting import (
    FAMO,
    CAGrad,
    DynamicAverage,
    GradNorm,
    PCGrad,
    Uncertainty,
    WeightingConfig,
)
from tests.learn.test_fit import Made, setup

LOSS = {"ctr": 1.0, "ctcvr": 1.0}
CONFIG = TrainConfig(monitor="auc_valid/ctcvr", epochs=3, patience=3, learning_rate=0.01)


class Stopped(BaseException):
    """What a kill is to the loop."""


class Stopping:
    """Batches of another, until so many were given."""

    def __init__(self, whole: Batches, after: int) -> None:
        self._whole, self._left, self.rows = whole, after, whole.rows

    def __len__(self) -> int:
        return len(self._whole)

    def batches(self, epoch: int = 0, skip: int = 0) -> Iterator[Batch]:
        for batch in self._whole.batches(epoch, skip):
            if not self._left:
                raise Stopped
            self._left -= 1
            yield batch


def trained(
    folder: Path, every: int = 1, after: int | None = None, weighting: WeightingConfig | None = None,
    config: TrainConfig = CONFIG, freeze: Freeze | None = None,
) -> tuple[dict[str, Tensor], list[Epoch]]:
    """Weights and epochs of a fit with dropout, which is killed after some batches where told so."""
    model, parts, objective = setup(LOSS, weighting=weighting)
    for layer in model.modules():
        if hasattr(layer, "dropout") and isinstance(layer.dropout, float):
            layer.dropout = 0.2
    if config.task_patience:  # what is learned of clicks makes ctr worse
        parts = replace(parts, labels={**parts.labels, "click": 1 - parts.labels["click"]})
    if after is not None:
        assert isinstance(parts.train, Made)
        train: Batches = Stopping(parts.train, after)
        parts = replace(parts, train=train)
    objective = replace(objective, freeze=freeze)
    epochs = list(fit(model, parts, objective, config, Checkpoints(folder, "key", every)))
    return model.state_dict(), epochs


@pytest.fixture(autouse=True)
def as_often_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "COST", float("inf"))


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("after", range(12))
def test_killed_at_any_step_it_ends_with_the_same_weights(tmp_path: Path, every: int, after: int) -> None:
    whole, epochs = trained(tmp_path / "whole")
    with pytest.raises(Stopped):
        trained(tmp_path / "killed", every, after)
    torch.manual_seed(after)  # nothing is owed to the generator's state at the start
    resumed, again = trained(tmp_path / "killed", every)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert [e.metrics for e in again] == [e.metrics for e in epochs]
    assert [(e.number, e.best) for e in again] == [(e.number, e.best) for e in epochs]
    assert all(np.array_equal(a.gates["ctr"].mean, b.gates["ctr"].mean)
               for a, b in zip(again, epochs, strict=True))


@pytest.mark.parametrize("weighting", [
    Uncertainty(), DynamicAverage(temperature=0.1), FAMO(), GradNorm(), PCGrad(), CAGrad(on="parameters"),
], ids=repr)
@pytest.mark.parametrize("after", [2, 5, 8, 11])
def test_weights_that_move_are_those_of_a_fit_that_was_not_killed(
    tmp_path: Path, after: int, weighting: WeightingConfig
) -> None:
    whole, epochs = trained(tmp_path / "whole", weighting=weighting)
    with pytest.raises(Stopped):
        trained(tmp_path / "killed", 1, after, weighting)
    resumed, again = trained(tmp_path / "killed", weighting=weighting)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert [e.metrics for e in again] == [e.metrics for e in epochs]
    assert epochs[0].metrics["weight/ctr"] != epochs[2].metrics["weight/ctr"]


@pytest.mark.parametrize("after", [2, 5, 8, 11])
def test_what_stands_still_goes_on_standing_still(tmp_path: Path, after: int) -> None:
    """The tower of ctcvr for an epoch, tables for two; ctr, whose clicks on valid are others, stops."""
    config = CONFIG.model_copy(update={"task_patience": 1})
    freeze = Freeze.model_validate({"tables": 2, "towers": {"ctcvr": 1}})
    whole, epochs = trained(tmp_path / "whole", config=config, freeze=freeze)
    with pytest.raises(Stopped):
        trained(tmp_path / "killed", 1, after, config=config, freeze=freeze)
    resumed, again = trained(tmp_path / "killed", config=config, freeze=freeze)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert [e.metrics for e in again] == [e.metrics for e in epochs]
    assert [e.metrics["weight/ctr"] for e in epochs] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("after", [1, 4, 7, 10])
def test_learning_rates_go_on_where_they_stood(tmp_path: Path, after: int) -> None:
    config = TrainConfig.model_validate({
        **CONFIG.model_dump(), "batch_size": 128, "schedule": {"kind": "cosine", "warmup": 3},
    })
    whole, _ = trained(tmp_path / "whole", config=config)
    with pytest.raises(Stopped):
        trained(tmp_path / "killed", after=after, config=config)
    resumed, _ = trained(tmp_path / "killed", config=config)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    unscheduled, _ = trained(tmp_path / "other")
    assert not all(torch.equal(whole[name], unscheduled[name]) for name in whole)


def test_one_checkpoint_is_kept_and_one_of_another_key_passed_over(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        trained(tmp_path, after=6)
    left = {file.name for file in tmp_path.iterdir() if not file.name.endswith(".lock")}
    assert left == {"best.safetensors", "checkpoint"}
    assert read_manifest(tmp_path / "checkpoint")["standing"]["steps"] == 2  # of the second epoch
    model, _, _ = setup(LOSS)
    assert Checkpoints(tmp_path, "other", 1).restore({"model": model}, []) is None


def test_an_epoch_may_be_shorter_than_the_distance_of_two(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        trained(tmp_path, every=5, after=6)  # four batches an epoch
    standing = read_manifest(tmp_path / "checkpoint")["standing"]
    assert (standing["epoch"], standing["steps"]) == (2, 1)


def test_checkpoints_lie_further_apart_where_they_cost_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 10.0, 10.0, 13.0, 100.0, 160.0, 164.0])  # made, due?, saved from … to …, due? × 3
    monkeypatch.setattr(resume, "COST", 0.02)
    monkeypatch.setattr(resume.time, "perf_counter", lambda: next(clock))
    keep = Checkpoints(tmp_path, "key", every=5)
    assert [keep.due() for _ in range(5)] == [False] * 4 + [True]
    keep.save(Standing(), {"model": nn.Linear(1, 1)}, [])  # took 3 s: at most one in 150 s
    assert [keep.due() for _ in range(15)] == [False] * 14 + [True]


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        trained(tmp_path, after=6)
    (tmp_path / "checkpoint" / resume.TENSORS).write_bytes(b"nothing")
    with pytest.raises(RecmtlError, match="unreadable checkpoint"):
        trained(tmp_path)
