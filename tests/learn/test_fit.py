"""The loop on made-up data: learning, early stopping, best weights, and what it does with NaN."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recmtl.batch import Batch
from recmtl.errors import RecmtlError
from recmtl.learn import TrainConfig
from recmtl.learn.epoch import Epoch
from recmtl.learn.fit import Parts, fit
from recmtl.learn.meter import Meter
from recmtl.learn.predict import predict
from recmtl.learn.resume import Checkpoints, Standing
from recmtl.learn.step import Objective
from recmtl.learn.tasks import statistics
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.multitask import MultiTask, build_model
from recmtl.schema.weighting import WeightingConfig
from recmtl.seed import seed_everything
from recmtl.suite.made_up import LAYOUT, TASKS, make_batch


class Made:
    """A few batches in memory; clicks follow the first dense column."""

    def __init__(self, rows: int, seed: int, batches: int = 4) -> None:
        self._batches = [self._learnable(make_batch(rows // batches, seed + i)) for i in range(batches)]

    def on(self, device: str) -> "Made":
        """The same on a device."""
        self._batches = [batch.to(torch.device(device)) for batch in self._batches]
        return self

    @property
    def rows(self) -> int:
        return sum(len(b) for b in self._batches)

    def __len__(self) -> int:
        return len(self._batches)

    def batches(self, epoch: int = 0, skip: int = 0) -> Iterator[Batch]:
        yield from self._batches[skip:]

    def label(self, name: str) -> np.ndarray:
        return torch.cat([b.labels[name] for b in self._batches]).cpu().numpy()

    @staticmethod
    def _learnable(batch: Batch) -> Batch:
        click = (batch.dense[:, 0] > 0).float()
        converted = click * (batch.dense[:, 1] > 0)
        minutes = torch.where(click == 1, 10 + batch.dense[:, 2], torch.nan)
        return replace(batch, labels={"click": click, "converted": converted, "minutes": minutes})


def setup(
    loss: dict[str, float], relation: str = "independent", weighting: WeightingConfig | None = None
) -> tuple[MultiTask, Parts, Objective]:
    train, valid = Made(512, 0), Made(256, 100)
    config = ModelConfig.model_validate({
        "sharing": {"kind": "mmoe", "hidden": [16, 8], "experts": 2}, "towers": {"hidden": [8]},
        "relation": {"kind": relation}, "loss": loss,
    })
    labels = {name: train.label(name) for name in LAYOUT.labels}
    known = statistics(TASKS, labels, np.ones(train.rows))
    seed_everything(1)
    model = build_model(config, EmbeddingConfig(width=4), LAYOUT, TASKS, known)
    parts = Parts(train, valid, {name: valid.label(name) for name in LAYOUT.labels})
    return model, parts, Objective(TASKS, loss, known, weighting)


def keep(folder: Path) -> Checkpoints:
    return Checkpoints(folder, "key", every=1000)


def run(
    tmp_path: Path, loss: dict[str, float], relation: str = "independent", **train: object
) -> tuple[list[Epoch], MultiTask, Parts]:
    model, parts, objective = setup(loss, relation)
    config = TrainConfig.model_validate(
        {"monitor": "auc_valid/ctcvr", "epochs": 12, "learning_rate": 0.01, "patience": 12, **train}
    )
    return list(fit(model, parts, objective, config, keep(tmp_path))), model, parts


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("relation", ["independent", "product"])
def test_it_learns_every_task(tmp_path: Path, relation: str, precision: str) -> None:
    epochs, _, _ = run(
        tmp_path, {"ctr": 1.0, "ctcvr": 1.0, "minutes": 1.0}, relation, precision=precision,
        epochs=25,
    )
    last = epochs[-1].metrics
    assert last["auc_valid/ctr"] > 0.95 and last["auc_valid/ctcvr"] > 0.9
    assert last["auc_valid/cvr"] > 0.85
    assert last["r2_valid/minutes"] > 0.5
    assert last["loss_train/ctr"] < epochs[0].metrics["loss_train/ctr"]


def test_the_best_epoch_s_weights_are_restored(tmp_path: Path) -> None:
    epochs, model, parts = run(tmp_path, {"ctr": 1.0, "ctcvr": 1.0}, learning_rate=0.2, epochs=6)
    best = max(epochs, key=lambda e: e.metrics["auc_valid/ctcvr"])
    assert [e.number for e in epochs if e.best][-1] == best.number
    from recmtl.learn.metrics import task_metrics

    again = task_metrics(TASKS, parts.labels, predict(model, parts.valid).scores, "valid")
    assert again["auc_valid/ctcvr"] == best.metrics["auc_valid/ctcvr"]


def test_a_mean_over_tasks_picks_the_epoch(tmp_path: Path) -> None:
    epochs, _, _ = run(
        tmp_path, {"ctr": 1.0, "ctcvr": 1.0}, learning_rate=0.2, epochs=4, monitor="auc_valid/tasks.macro"
    )
    means = [np.mean([e.metrics[f"auc_valid/{t}"] for t in ("ctr", "cvr", "ctcvr")]) for e in epochs]
    assert [e.metrics["auc_valid/tasks.macro"] for e in epochs] == pytest.approx(means)
    assert [e.best for e in epochs] == [m > max([*means[:i], 0]) for i, m in enumerate(means)]


def test_it_stops_when_the_monitor_no_longer_rises(tmp_path: Path) -> None:
    epochs, _, _ = run(
        tmp_path, {"ctr": 1.0, "ctcvr": 1.0}, patience=1, learning_rate=1e-12,
        table_learning_rate=1e-12, epochs=10,
    )
    assert len(epochs) == 2 and [e.best for e in epochs] == [True, False]


def test_same_seed_same_weights(tmp_path: Path) -> None:
    first = run(tmp_path, {"ctr": 1.0, "ctcvr": 1.0}, epochs=2)[1].state_dict()
    second = run(tmp_path, {"ctr": 1.0, "ctcvr": 1.0}, epochs=2)[1].state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_loss_that_is_not_finite_stops_with_its_place(tmp_path: Path) -> None:
    model, parts, objective = setup({"ctr": 1.0, "ctcvr": 1.0})
    bad = parts.train.batches().__next__()
    bad.dense[3, 0] = torch.inf
    config = TrainConfig(monitor="auc_valid/ctr")
    before = {n: t.clone() for n, t in model.state_dict().items()}
    with pytest.raises(RecmtlError, match=r"epoch 1, step 1: the loss is NaN") as error:
        list(fit(model, parts, objective, config, keep(tmp_path)))
    assert "ctr" in str(error.value) and "(0, 0)" in str(error.value)
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())


def batch_with(value: float) -> tuple[dict[str, torch.Tensor], Batch]:
    return {"ctr": torch.tensor(value), "ctcvr": torch.tensor(2 * value)}, make_batch(3)


def test_losses_read_now_and_then_add_up_to_the_same() -> None:
    """Seven steps, looked at every third: none is lost, none counted twice."""
    each, some = Standing(), Standing()
    for standing, every in ((each, 1), (some, 3)):
        meter = Meter(standing, every)
        for step in range(7):
            meter.add(*batch_with(0.5 + step))
        assert standing.steps == 7 // every * every
        meter.read()
        meter.read()
    assert each.steps == some.steps == 7
    assert each.losses == some.losses == {"ctr": 24.5, "ctcvr": 49.0}


def test_a_loss_that_is_read_late_is_named_with_its_own_step() -> None:
    standing = Standing(epoch=2)
    meter = Meter(standing, every=64)
    for step in range(9):
        meter.add(*batch_with(float("nan") if step == 4 else 1.0))
    with pytest.raises(RecmtlError, match="epoch 2, step 5: the loss is NaN"):
        meter.read()
    assert standing.steps == 5 and standing.losses["ctr"] == 4.0


def test_no_checkpoint_is_written_before_the_losses_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where steps go on after a loss that is not finite."""
    monkeypatch.setattr("recmtl.learn.fit.Meter", lambda standing, every: Meter(standing, 64))
    model, parts, objective = setup({"ctr": 1.0, "ctcvr": 1.0})
    parts.train.batches(skip=1).__next__().dense[3, 0] = torch.inf
    config = TrainConfig(monitor="auc_valid/ctr")
    with pytest.raises(RecmtlError, match=r"epoch 1, step 2: the loss is NaN"):
        list(fit(model, parts, objective, config, Checkpoints(tmp_path, "key", every=4)))
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_monitor_that_valid_cannot_measure_is_an_error(tmp_path: Path) -> None:
    model, parts, objective = setup({"ctr": 1.0, "ctcvr": 1.0})
    parts.labels["converted"][:] = 0.0  # type: ignore[index]
    config = TrainConfig(monitor="auc_valid/ctcvr")
    with pytest.raises(RecmtlError, match="valid has no auc_valid/ctcvr"):
        list(fit(model, parts, objective, config, keep(tmp_path)))


def test_gates_and_timings_come_with_each_epoch(tmp_path: Path) -> None:
    epochs, _, _ = run(tmp_path, {"ctr": 1.0, "ctcvr": 1.0}, epochs=1)
    assert set(epochs[0].gates) == {"ctr", "ctcvr"} and epochs[0].gates["ctr"].rows == 256
    assert epochs[0].timings["train_rows_per_second"] > 0
