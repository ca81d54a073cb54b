"""Schedules against torch's own, step by step, and what a fit does with them."""

from pathlib import Path

import pytest
import torch
from torch.optim import SGD, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from recmtl.learn import TrainConfig
from recmtl.learn.fit import fit
from recmtl.learn.optim import build_optimizers, paced
from recmtl.learn.schedule import Constant, Cosine, Schedule, Steps
from recmtl.suite.made_up import make_batch
from tests.learn.test_fit import keep, setup

EACH, EPOCHS, WARM = 5, 4, 6  # steps of an epoch, epochs, steps of warm-up


def linear(optimizer: SGD) -> LRScheduler:
    return lr_scheduler.LinearLR(optimizer, 1 / WARM, total_iters=WARM - 1)


def cosine(optimizer: SGD) -> LRScheduler:
    return lr_scheduler.CosineAnnealingLR(optimizer, EACH * EPOCHS, eta_min=0.2)


def warmed_cosine(optimizer: SGD) -> LRScheduler:
    falling = lr_scheduler.CosineAnnealingLR(optimizer, EACH * EPOCHS - WARM, eta_min=0.2)
    return lr_scheduler.SequentialLR(optimizer, [linear(optimizer), falling], [WARM])


def multi_step(optimizer: SGD) -> LRScheduler:
    return lr_scheduler.MultiStepLR(optimizer, [1 * EACH, 3 * EACH], 0.3)


TORCH_S: list[tuple[Schedule, object]] = [
    (Constant(warmup=WARM), linear), (Cosine(floor=0.2), cosine),
    (Cosine(warmup=WARM, floor=0.2), warmed_cosine), (Steps(epochs=(1, 3), decay=0.3), multi_step),
]


@pytest.mark.parametrize(("schedule", "make"), TORCH_S, ids=[repr(s) for s, _ in TORCH_S])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_schedule_is_torch_s(schedule: Schedule, make: object) -> None:
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torch_s: LRScheduler = make(optimizer)  # type: ignore[operator]
    for done in range(EACH * EPOCHS):
        expected = optimizer.param_groups[0]["lr"]
        assert schedule.factor(done, EACH, EPOCHS) == pytest.approx(expected, abs=1e-12)
        optimizer.step()
        torch_s.step()


def test_by_hand() -> None:
    """A warm-up of 4 steps and a fall after the first epoch of 2: both at once in the third step."""
    schedule = Steps(epochs=(1,), decay=0.1, warmup=4)
    assert [schedule.factor(done, 2, 3) for done in range(6)] == pytest.approx(
        [0.25, 0.5, 0.075, 0.1, 0.1, 0.1]
    )
    halfway = [Cosine(warmup=2).factor(done, 3, 2) for done in range(6)]
    assert halfway[:3] == [0.5, 1.0, 1.0] and halfway[4] == pytest.approx(0.5)


def test_a_warm_up_may_be_longer_than_the_fit() -> None:
    assert [Cosine(warmup=8).factor(done, 2, 2) for done in range(4)] == [0.125, 0.25, 0.375, 0.5]


def test_both_rates_follow_from_where_a_fit_stands() -> None:
    config = TrainConfig(monitor="auc_valid/ctr", epochs=3, schedule=Constant(warmup=8))
    parameters = [torch.nn.Parameter(torch.zeros(2, 2)) for _ in range(2)]
    optimizers = build_optimizers(parameters[:1], parameters[1:], 1, [], config)
    seen: list[list[float]] = []

    def step(batch: object) -> dict[str, torch.Tensor]:
        seen.append([optimizer.param_groups[0]["lr"] for optimizer in optimizers])
        return {}

    taken = paced(step, optimizers, config, epoch_steps=4, done=5)
    for _ in range(4):
        taken(make_batch(2))
    factors = [6 / 8, 7 / 8, 1.0, 1.0]
    assert seen == [pytest.approx([f * 0.05, f * 1e-3]) for f in factors]


def test_a_fit_falls_after_the_epochs_named(tmp_path: Path) -> None:
    """Of four epochs of four steps the last two are of rates too small to move fp32."""
    schedule = {"kind": "steps", "epochs": [2], "decay": 1e-15}
    model, parts, objective = setup({"ctr": 1.0, "ctcvr": 1.0})
    config = TrainConfig.model_validate({
        "monitor": "auc_valid/ctr", "epochs": 4, "patience": 4, "batch_size": 128, "schedule": schedule,
    })
    first, second, third, fourth = (
        torch.cat([p.detach().flatten() for p in model.parameters()])
        for _ in fit(model, parts, objective, config, keep(tmp_path))
    )
    assert not torch.equal(first, second)
    torch.testing.assert_close(third, second, rtol=0, atol=1e-12)
    torch.testing.assert_close(fourth, second, rtol=0, atol=1e-12)
