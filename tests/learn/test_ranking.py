"""Ranking within requests: by loops over pairs and lists, by differences, as a part of a task's loss."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recmtl.batch import Batch, Output
from recmtl.errors import RecmtlError
from recmtl.learn import TrainConfig
from recmtl.learn.group import ALONE
from recmtl.learn.losses import task_loss
from recmtl.learn.optim import build_optimizers
from recmtl.learn.ranking import RANKINGS, ranking_loss
from recmtl.learn.step import Objective, make_step, parameters, recordable
from recmtl.learn.tasks import TaskStatistics, label_space
from recmtl.schema import Task
from recmtl.schema.losses import CrossEntropy, Ranking, loss_of
from recmtl.schema.weighting import PCGrad, Uncertainty
from recmtl.suite.made_up import make_batch, permute
from tests.learn.test_fit import Made, setup

KNOWN = TaskStatistics(rows=100, share=1.0, mean=0.4, std=2.5)
CLICK = Task(label="y")
SIZES = [1, 4, 3, 6, 1, 2, 40, 5]
each_kind = pytest.mark.parametrize("kind", RANKINGS)


def requests(label: np.ndarray, sizes: list[int] = SIZES) -> Batch:
    """Rows of requests of these sizes, whose numbers are in no order."""
    numbers = np.random.default_rng(1).permutation(len(sizes)) * 7 - 9
    together = torch.from_numpy(np.repeat(numbers, sizes))
    return replace(
        make_batch(len(label)), labels={"y": torch.from_numpy(label).float()}, together=together
    )


def made(ordered: bool = False) -> tuple[np.ndarray, Batch]:
    """Raw outputs, and labels of all kinds of requests: of one class, of both, of ties."""
    random = np.random.default_rng(0)
    label = random.integers(0, 5 if ordered else 2, sum(SIZES)).astype(float)
    label[1:5], label[5:8] = 0.0, 1.0
    return random.normal(0, 2, len(label)), requests(label)


def by_hand(kind: str, raw: np.ndarray, batch: Batch) -> float:
    assert batch.together is not None
    label, together = batch.labels["y"].double().numpy(), batch.together.numpy()
    found = []
    for number in np.unique(together):
        own = np.flatnonzero(together == number)
        if kind == "pairwise":
            pairs = [(i, j) for i in own for j in own if label[i] > label[j]]
            found += [math.log1p(math.exp(raw[j] - raw[i])) for i, j in pairs]
        elif len(own) > 1 and any(label[own]):
            total = sum(math.exp(raw[i]) for i in own)
            positives = sum(label[i] for i in own)
            found.append(-sum(label[i] / positives * math.log(math.exp(raw[i]) / total) for i in own))
    return sum(found) / len(found)


def loss(
    kind: Any, raw: np.ndarray | Tensor, batch: Batch, task: Task = CLICK, known: TaskStatistics = KNOWN
) -> Tensor:
    raw = raw if isinstance(raw, Tensor) else torch.from_numpy(raw)
    options = loss_of(task, 1.0).model_copy(update={"ranking": Ranking(kind=kind)})
    return ranking_loss(task, raw, batch, known, options)


@each_kind
def test_it_is_the_formula_by_loops(kind: str) -> None:
    raw, batch = made()
    assert loss(kind, raw, batch).item() == pytest.approx(by_hand(kind, raw, batch), rel=1e-9)


@each_kind
def test_a_request_of_two_rows_by_hand(kind: str) -> None:
    """Logits 1 and −2, the second clicked: log(1 + e³), as a pair and as a list."""
    found = loss(kind, np.array([1.0, -2.0]), requests(np.array([0.0, 1.0]), [2]))
    assert found.item() == pytest.approx(math.log1p(math.exp(3.0)), rel=1e-9)


@each_kind
def test_its_gradient_is_that_of_small_differences(kind: str) -> None:
    raw, batch = made()
    given = torch.from_numpy(raw).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(kind, 3.0 * z, batch), (given,))


@pytest.mark.parametrize("task", [
    Task(label="y", type="regression"), Task(label="y", type="regression", log=True),
    Task(label="y", type="watch_time"),
], ids=str)
def test_pairs_are_in_the_order_of_any_number(task: Task) -> None:
    """Outputs of a regression are in units of the label's spread, those of a watch time are logits."""
    raw, batch = made(ordered=True)
    regression = task.type == "regression"
    known = KNOWN if regression else replace(KNOWN, mean=(2.0, 0.2))
    expected = by_hand("pairwise", raw / 2.5 if regression else raw, batch)
    assert loss("pairwise", raw, batch, task, known).item() == pytest.approx(expected, rel=1e-9)


@each_kind
def test_rows_outside_of_the_label_space_or_without_weight_take_no_part(kind: str) -> None:
    raw, batch = made()
    random = np.random.default_rng(4)
    label = batch.labels["y"].clone()
    label[torch.from_numpy(random.random(len(label)) < 0.2)] = torch.nan
    shown = torch.from_numpy(random.random(len(label)) < 0.8).float()
    weight = torch.from_numpy(random.random(len(label)).round()).float()
    task, labels = Task(label="y", given="shown"), {"y": label, "shown": shown}
    batch = replace(batch, labels=labels, weight=weight)
    given = torch.from_numpy(raw).requires_grad_()
    found = loss(kind, given, batch, task)
    found.backward()  # type: ignore[no-untyped-call]
    inside = label_space(task, labels) & (weight > 0)
    assert 10 < inside.sum() < 40 and given.grad is not None
    assert (given.grad[~inside] == 0).all() and (given.grad[inside] != 0).any()
    alone = permute(batch, inside.nonzero().squeeze(1))
    assert found.item() == pytest.approx(by_hand(kind, raw[inside.numpy()], alone), rel=1e-9)


@each_kind
@pytest.mark.parametrize("label", [[0.0, 0.0], [math.nan, 1.0], []], ids=str)
def test_nothing_to_rank_is_no_loss(kind: str, label: list[float]) -> None:
    """A request of one class, one of a single known row, and a process without a row of the batch."""
    raw = torch.ones(len(label), requires_grad=True)
    found = loss(kind, raw, replace(requests(np.array(label), [len(label)]), whole=2))
    found.backward()  # type: ignore[no-untyped-call]
    assert found.item() == 0.0 and raw.grad is not None and not raw.grad.any()


@each_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_outputs_of_any_size_give_a_finite_loss_in_fp32(kind: str, dtype: torch.dtype) -> None:
    raw = torch.tensor([-200.0, 200.0, 90.0, -90.0, 0.0]).to(dtype).requires_grad_()
    batch = requests(np.array([1.0, 0.0, 0.0, 1.0, 1.0]), [5])
    found = loss(kind, raw, batch)
    found.backward()  # type: ignore[no-untyped-call]
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(loss(kind, raw.detach().double(), batch).item(), rel=1e-6)
    assert raw.grad is not None and torch.isfinite(raw.grad).all()


@each_kind
def test_parts_of_a_batch_add_up_to_the_mean_of_the_processes(kind: str) -> None:
    """The second process has the last 48 of 62 rows; the cut is between requests."""
    raw, batch = made()
    cut, own = sum(SIZES[:4]), []
    for rows in (slice(0, cut), slice(cut, None)):
        part = replace(permute(batch, torch.arange(len(raw))[rows]), whole=len(raw))
        own.append(loss(kind, raw[rows], part).item())
        alone = by_hand(kind, raw[rows], replace(part, whole=None))
        assert own[-1] == pytest.approx(alone * len(part) / len(raw), rel=1e-9)


def test_a_batch_that_says_nothing_of_requests_is_refused() -> None:
    with pytest.raises(RecmtlError, match="name the column in `together`"):
        loss("pairwise", np.zeros(3), replace(requests(np.ones(3), [3]), together=None))


TASKS = {"a": Task(label="y"), "b": Task(label="y")}
LOSSES = {"a": CrossEntropy(weight=2.0, ranking=Ranking(kind="pairwise", weight=0.1)), "b": 0.5}


def test_it_counts_by_its_weight_in_the_loss_of_its_task() -> None:
    raw, batch = made()
    output = Output({"a": torch.from_numpy(raw), "b": torch.from_numpy(-raw)}, {}, {}, {})
    objective = Objective(TASKS, LOSSES, {"a": KNOWN, "b": KNOWN})
    found = objective.losses(output, batch)
    plain = [task_loss(CLICK, z, batch, KNOWN).item() for z in output.raw.values()]
    pairs = by_hand("pairwise", raw, batch)
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {"a": plain[0], "b": plain[1], "ranking.a": pairs}, rel=1e-6
    )
    whole = 2.0 * (plain[0] + 0.1 * pairs)
    assert objective.total(found).item() == pytest.approx(whole + 0.5 * plain[1], rel=1e-6)
    told = [value.item() for value in objective.weighted(found)]
    assert told == pytest.approx([whole, 0.5 * plain[1]], rel=1e-6)
    objective.stopped.add("a")
    assert objective.total(found).item() == pytest.approx(0.5 * plain[1], rel=1e-6)


def test_what_moves_a_task_s_weight_moves_its_ranking_with_it() -> None:
    raw, batch = made()
    output = Output({"a": torch.from_numpy(raw), "b": torch.from_numpy(-raw)}, {}, {}, {})
    objective = Objective(TASKS, LOSSES, {"a": KNOWN, "b": KNOWN}, Uncertainty())
    objective.weigher.log_variances.data[0] = math.log(4.0)
    found = objective.losses(output, batch)
    expected = 0.25 * 2.0 * (found["a"] + 0.1 * found["ranking.a"]) + 0.5 * found["b"]
    assert objective.total(found).item() == pytest.approx(expected.item(), rel=1e-6)


def with_requests(batch: Batch) -> Batch:
    return replace(batch, together=torch.arange(len(batch)) // 4)


@pytest.mark.parametrize("weighting", [None, PCGrad()], ids=["fixed", "by gradients"])
def test_a_step_makes_the_ranking_better(weighting: PCGrad | None) -> None:
    ranked = CrossEntropy(ranking=Ranking(kind="listwise", weight=5.0))
    model, parts, objective = setup({"ctr": ranked, "minutes": 1.0}, weighting=weighting)  # type: ignore
    config = TrainConfig(monitor="auc_valid/ctr", learning_rate=0.01)
    step = make_step(model, objective, build_optimizers(*parameters(model), config), config, ALONE)
    assert isinstance(parts.train, Made)
    batches = [with_requests(batch) for batch in parts.train.batches()]
    found = [[step(batch)["ranking.ctr"].item() for batch in batches] for _ in range(10)]
    assert np.mean(found[-1]) < 0.8 * np.mean(found[0])


def test_on_a_gpu_its_steps_are_not_recorded() -> None:
    config = TrainConfig(monitor="auc_valid/a")
    plain = Objective(TASKS, {"a": 1.0, "b": 1.0}, {"a": KNOWN, "b": KNOWN})
    ranked = Objective(TASKS, LOSSES, {"a": KNOWN, "b": KNOWN})
    model = torch.nn.Module()
    assert recordable(model, plain, config, ALONE) and not recordable(model, ranked, config, ALONE)
