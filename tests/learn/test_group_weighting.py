"""Two processes that weigh tasks by their gradients, freeze, or take turns: both are as one process."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from recmtl.batch import Batch
from recmtl.launch import launch
from recmtl.learn import TrainConfig
from recmtl.learn.fit import fit
from recmtl.learn.group import ALONE, Group, join
from recmtl.learn.predict import Batches
from recmtl.learn.turns import InTurns
from recmtl.schema.freeze import Freeze
from recmtl.schema.losses import D2Q
from recmtl.schema.weighting import FAMO, MGDA, GradNorm, PCGrad
from recmtl.seed import seed_everything
from recmtl.suite.made_up import permute
from tests.heads import test_watch_quantile as quantiles
from tests.learn import test_turns
from tests.learn.test_fit import keep, setup

LOSS = {"ctr": 1.0, "ctcvr": 2.0, "minutes": 1.0}
CASES: dict[str, dict[str, Any]] = {
    "mgda": {"weighting": MGDA()}, "gradnorm": {"weighting": GradNorm()}, "famo": {"weighting": FAMO()},
    "tables alone": {"freeze": Freeze(sharing=1, towers=1)}, "turns": {},
}
CONFLICTS = torch.tensor([[1.3, 0.9], [-0.7, -1.3], [-0.6, 0.0]])


class Part:
    """Of the batches of another one process's rows, as in training, or its stretch, as in scoring."""

    def __init__(self, whole: Batches, group: Group, stretch: bool) -> None:
        self.rows, batches = whole.rows, list(whole.batches())
        count = len(batches) // group.size
        self._batches = batches[group.rank * count : (group.rank + 1) * count] if stretch else [
            replace(permute(b, torch.arange(group.rank, len(b), group.size)), whole=len(b))
            for b in batches
        ]

    def __len__(self) -> int:
        return len(self._batches)

    def batches(self, epoch: int = 0, skip: int = 0) -> Iterator[Batch]:
        yield from self._batches[skip:]


def trained(folder: Path, group: Group, case: str) -> dict[str, object]:
    """What the last epoch of two says of losses and weights, and a number for each thing trained.

    Of the last batch of the second turn the second process has no row.
    """
    model, parts, objective = test_turns.setup(last=1) if case == "turns" else setup(LOSS)
    objective, train = replace(objective, **CASES[case]), parts.train
    part = partial(Part, group=group, stretch=False)
    train = InTurns([part(own) for own in train._parts]) if isinstance(train, InTurns) else part(train)
    valid = Part(parts.valid, group, stretch=True)
    parts = replace(parts, train=train, valid=valid, group=group)
    seed_everything(1, "dropout", group.rank)
    config = TrainConfig(monitor="auc_valid/ctr", epochs=2, patience=2, learning_rate=0.01)
    *_, last = fit(model, parts, objective, config, keep(folder / case))
    state = [*model.state_dict().values(), *objective.weigher.state_dict().values()]
    sums = [tensor.double().sum().item() for tensor in state]
    return {"metrics": last.metrics, "sums": sums}


def drawn(group: Group) -> list[list[float]]:
    """Factors of three gradients that conflict, in some steps: PCGrad draws an order for each."""
    _, _, objective = setup(LOSS, weighting=PCGrad())
    seed_everything(1, "dropout", group.rank)
    found = []
    for _ in range(8):
        view = torch.ones(1, 2, requires_grad=True)
        losses = {task: (view * own).sum() for task, own in zip(LOSS, CONFLICTS, strict=True)}
        objective.weigh(losses, [view], group, ([], [], 1, []))
        found.append([float(factor) for factor in objective.weigher.factors().values()])
    return found


def of_quantiles(group: Group) -> dict[str, float]:
    """A number for each tensor of a model that learns watch time by its quantiles."""
    model = quantiles.trained(quantiles.shown_long(300)[0], D2Q(groups=5), group, steps=5)
    return {name: tensor.double().sum().item() for name, tensor in model.state_dict().items()}


def both(folder: Path) -> None:
    torch.set_num_threads(1)
    group = join("cpu")
    found = {case: trained(folder, group, case) for case in CASES}
    found |= {"drawn": drawn(group), "quantiles": of_quantiles(group)}
    (folder / f"{group.rank}.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, object]]]:
    folder = tmp_path_factory.mktemp("two")
    launch(partial(both, folder), 2, folder)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_both_processes_have_the_same_weights(
    two: list[dict[str, dict[str, object]]], case: str
) -> None:
    first, second = (process[case] for process in two)
    assert first == second


def test_both_take_the_order_that_the_first_has_drawn(two: list[dict[str, list[list[float]]]]) -> None:
    alone = drawn(ALONE)
    assert len({tuple(factors) for factors in alone}) > 1
    assert two[0]["drawn"] == two[1]["drawn"] == alone


def test_both_learn_watch_time_by_the_quantiles_of_one(two: list[dict[str, dict[str, float]]]) -> None:
    alone, (first, second) = of_quantiles(ALONE), (process["quantiles"] for process in two)
    assert first == second
    assert first.keys() == alone.keys() > {"kept.own.edges", "kept.own.knots"}
    for name, value in alone.items():
        assert first[name] == pytest.approx(value, rel=2e-3, abs=1e-4), name


@pytest.mark.parametrize("case", CASES)
def test_they_are_those_of_one_process(
    tmp_path: Path, two: list[dict[str, dict[str, object]]], case: str
) -> None:
    alone = trained(tmp_path, ALONE, case)["metrics"]
    together = two[0][case]["metrics"]
    assert isinstance(alone, dict) and isinstance(together, dict)
    for name, value in alone.items():
        if name.startswith(("weight/", "loss_train/")):
            assert together[name] == pytest.approx(value, rel=2e-3), name
