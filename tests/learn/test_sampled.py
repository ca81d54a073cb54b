"""The softmax over drawn classes against numpy on the same draw, and against the whole one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch import Tensor
from torch.nn import functional as F

from recmtl.batch import Batch, Factored
from recmtl.heads import Start
from recmtl.learn import TrainConfig, resume
from recmtl.learn.fit import Parts, fit
from recmtl.learn.group import ALONE
from recmtl.learn.losses import task_loss
from recmtl.learn.optim import RowAdagrad, build_optimizers
from recmtl.learn.resume import Checkpoints
from recmtl.learn.sampled import draw, proposal, sampled_softmax
from recmtl.learn.step import Objective, make_step, parameters
from recmtl.learn.task_gradients import TaskGradients
from recmtl.learn.tasks import TaskStatistics, statistics
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.class_tower import ClassTower
from recmtl.model.multitask import build_model
from recmtl.schema.losses import SampledSoftmax
from recmtl.seed import numpy_generator, seed_everything
from recmtl.suite.made_up import LAYOUT
from tests.heads.made_up import TASKS, batch_of, model_of, objective_of

CPU = torch.device("cpu")
CLASSES, ROWS = 30, 8
SHARES = numpy_generator(2, "shares").dirichlet(np.full(CLASSES, 0.4))
KNOWN = TaskStatistics(rows=100, share=1.0, mean=tuple(SHARES.tolist()), std=(1.0,) * CLASSES)
LABEL = torch.tensor([0.0, 3.0, 29.0, 7.0, 7.0, 12.0, 1.0, 18.0])
EACH = [SampledSoftmax(samples=samples, proposal=kind)
        for samples in (1, 7, 30) for kind in ("frequency", "uniform")]
each = pytest.mark.parametrize("options", EACH, ids=repr)


def factors() -> tuple[Tensor, Tensor]:
    random = numpy_generator(3, "factors")
    return (torch.from_numpy(random.normal(0, 1, (ROWS, 4))).requires_grad_(),
            torch.from_numpy(random.normal(0, 1, (CLASSES, 4))).requires_grad_())


def loss(hidden: Tensor, table: Tensor, options: SampledSoftmax) -> Tensor:
    """Of the first rows, as many as `hidden` has."""
    raw = Factored(hidden, table, lambda some: table[some])
    return sampled_softmax(raw, LABEL[: len(hidden)], KNOWN, options)


@each
def test_the_loss_is_its_formula_on_the_classes_drawn(options: SampledSoftmax) -> None:
    hidden, table = factors()
    seed_everything(5)
    drawn = draw(proposal(KNOWN, options.proposal, CPU)[0], options.samples).numpy()
    seed_everything(5)
    found = loss(hidden, table, options).detach().numpy()
    even = np.full(CLASSES, 1 / CLASSES)
    q = even if options.proposal == "uniform" else (SHARES + even) / 2
    logits = (hidden @ table.t()).detach().numpy()
    for row, own in enumerate(LABEL.int().tolist()):
        terms = [logits[row, own]]
        terms += [logits[row, s] - np.log(options.samples * q[s]) for s in drawn if s != own]
        assert found[row] == pytest.approx(logsumexp(terms) - logits[row, own], abs=1e-9)


@each
def test_its_gradient_is_that_of_small_differences(options: SampledSoftmax) -> None:
    def seeded(hidden: Tensor, table: Tensor) -> Tensor:
        seed_everything(5)
        return loss(hidden, table, options)

    hidden, table = factors()
    assert torch.autograd.gradcheck(seeded, (hidden[:3], table))


def test_of_all_classes_evenly_drawn_it_is_the_softmax_and_so_is_its_gradient() -> None:
    """Through a tower, whose table has a gradient of rows, each once and rising."""
    seed_everything(1)
    tower = ClassTower(4, (6,), 0.0, Start(CLASSES, factored=True)).double()
    view = torch.randn(ROWS, 4, dtype=torch.float64)
    raw = tower(view)
    found = sampled_softmax(raw, LABEL, KNOWN, SampledSoftmax(samples=CLASSES, proposal="uniform"))
    whole = F.cross_entropy(raw.hidden @ raw.table.t(), LABEL.long(), reduction="none")
    torch.testing.assert_close(found, whole, rtol=1e-9, atol=1e-12)
    weights = list(tower.parameters())
    given, expected = (
        torch.autograd.grad(one.sum(), weights, retain_graph=True) for one in (found, whole)
    )
    for ours, theirs in zip(given, expected, strict=True):
        torch.testing.assert_close(ours.to_dense(), theirs, rtol=1e-9, atol=1e-12)


def test_only_rows_that_are_read_have_a_gradient_and_move() -> None:
    seed_everything(1)
    tower = ClassTower(4, (6,), 0.0, Start(CLASSES, factored=True))
    options, view = SampledSoftmax(samples=4), torch.randn(ROWS, 4)
    seed_everything(5)
    drawn = draw(proposal(KNOWN, options.proposal, CPU)[0], 4)
    seed_everything(5)
    sampled_softmax(tower(view), LABEL, KNOWN, options).sum().backward()
    gradient, before = tower.table.grad, tower.table.detach().clone()
    assert gradient is not None and gradient.is_sparse
    read = sorted({*LABEL.int().tolist(), *drawn.tolist()})
    assert gradient._indices()[0].tolist() == read
    RowAdagrad([tower.table], lr=0.1).step()
    moved = (tower.table.detach() != before).any(1).nonzero().flatten().tolist()
    assert set(LABEL.int().tolist()) <= set(moved) <= set(read)


def test_rows_that_do_not_count_read_no_class() -> None:
    """Else class 0 would be read wherever a label is null, and `table_l2` take it for the likeliest."""
    task = TASKS["retrieval"].model_copy(update={"classes": CLASSES})
    seed_everything(1)
    tower = ClassTower(4, (6,), 0.0, Start(CLASSES, factored=True))
    options, batch = SampledSoftmax(samples=4), batch_of(ROWS)
    label = torch.tensor([3.0, torch.nan, 29.0, torch.nan, 7.0, 12.0, 7.0, 18.0])
    batch, view = replace(batch, labels={"rating": label}), torch.randn(ROWS, 4)
    seed_everything(6)
    drawn = draw(proposal(KNOWN, options.proposal, CPU)[0], 4).tolist()
    assert 0 not in drawn
    seed_everything(6)
    found = task_loss(task, tower(view), batch, KNOWN, options)
    found.backward()  # type: ignore[no-untyped-call]
    assert tower.table.grad is not None
    assert tower.table.grad._indices()[0].tolist() == sorted({3, 7, 12, 18, 29, *drawn})
    seed_everything(6)
    known = ~label.isnan()
    alone = sampled_softmax(tower(view[known]), label[known], KNOWN, options)
    assert found.item() == pytest.approx((alone * batch.weight[known]).sum().item() / ROWS, rel=1e-6)


@pytest.mark.parametrize("kind", ["frequency", "uniform"])
def test_classes_are_drawn_as_often_as_their_shares_say(kind: str) -> None:
    ends, logs = proposal(KNOWN, kind, CPU)
    seed_everything(7)
    times = np.array([np.bincount(draw(ends, 20).numpy(), minlength=CLASSES) for _ in range(2000)])
    assert (times.sum(axis=1) == 20).all()
    error = times.std(axis=0) / np.sqrt(2000)
    assert (np.abs(times.mean(axis=0) - 20 * logs.exp().numpy()) <= 5 * error + 1e-12).all()


def test_all_classes_evenly_are_each_drawn_once() -> None:
    seed_everything(7)
    assert draw(proposal(KNOWN, "uniform", CPU)[0], CLASSES).tolist() == list(range(CLASSES))


@pytest.mark.parametrize("kind", ["frequency", "uniform"])
def test_on_average_the_sum_is_that_over_all_classes(kind: str) -> None:
    hidden, table = (factor.detach() for factor in factors())
    logits, options = hidden @ table.t(), SampledSoftmax.model_validate({"samples": 5, "proposal": kind})
    own = logits.gather(1, LABEL.long().unsqueeze(1)).squeeze(1)
    seed_everything(7)
    sums = torch.stack([(loss(hidden, table, options) + own).exp() for _ in range(800)])
    error = sums.std(0) / np.sqrt(800)
    assert ((sums.mean(0) - logits.exp().sum(1)).abs() <= 5 * error).all()


@pytest.mark.parametrize("kind", ["frequency", "uniform"])
def test_the_mean_gradient_nears_that_of_the_softmax_as_more_are_drawn(kind: str) -> None:
    hidden, table = factors()
    whole = F.cross_entropy(hidden @ table.t() / 2, LABEL.long(), reduction="sum")
    expected = torch.autograd.grad(whole, table)[0]

    def away(samples: int) -> float:
        options = SampledSoftmax.model_validate({"samples": samples, "proposal": kind})
        seed_everything(7)
        total = torch.stack([loss(hidden / 2, table, options).sum() for _ in range(300)]).mean()
        found = torch.autograd.grad(total, table)[0]
        return float((found - expected).norm() / expected.norm())

    few, many = away(2), away(30)
    assert many < 0.1 and many < few / 3, (few, many)


def test_large_logits_and_a_draw_of_its_own_class_alone_are_finite() -> None:
    """The only class drawn is the row's own: nothing is left beside it."""
    one = TaskStatistics(rows=9, share=1.0, mean=(1.0, 0.0), std=(1.0, 1.0))
    table = torch.tensor([[200.0], [-200.0]], requires_grad=True)
    hidden = torch.tensor([[1.0], [-1.0], [1.0]], requires_grad=True)
    for seed in range(8):
        seed_everything(seed)
        raw = Factored(hidden, table, lambda some: table[some])
        found = sampled_softmax(raw, torch.tensor([0.0, 0.0, 1.0]), one, SampledSoftmax(samples=1))
        gradients = torch.autograd.grad(found.sum(), [hidden, table])
        assert torch.isfinite(found).all() and all(torch.isfinite(g).all() for g in gradients)


def test_weights_by_gradients_leave_a_table_of_classes_its_task_s_own_gradient() -> None:
    """Of the two tasks the one has all of it, whatever the factor; it is no place where they meet."""
    tasks = {"ctr": TASKS["binary"], "own": TASKS["retrieval"]}
    batch = batch_of(64)
    known = statistics(tasks, {n: t.numpy() for n, t in batch.labels.items()}, batch.weight.numpy())
    config = ModelConfig.model_validate({
        "sharing": {"kind": "mmoe", "hidden": [6]}, "loss": {"ctr": 1.0, "own": 2.0},
    })
    seed_everything(3)
    model = build_model(config, EmbeddingConfig(width=4, init=0.5), LAYOUT, tasks)
    objective, output = Objective(tasks, config.loss, known), model(batch)
    losses = objective.weighted(objective.losses(output, batch))
    table = model.get_parameter("towers.own.table")
    (expected,) = torch.autograd.grad(losses[1], table, retain_graph=True)
    gradients = TaskGradients(losses, output.embedded, parameters(model))
    for place in ("features", "parameters"):
        assert torch.isfinite(gradients.gramian(place, ALONE)).all()
    gradients.backward([torch.tensor(0.5), torch.tensor(-1.0)], [], ALONE)
    assert table.grad is not None and table.grad.is_sparse
    torch.testing.assert_close(table.grad.to_dense(), expected.to_dense())


class Made:
    """Four batches in memory, as far as they are asked for before a kill."""

    def __init__(self, seed: int, left: int = 99) -> None:
        self._batches, self._left = [batch_of(64, seed + i) for i in range(4)], left
        self.rows = 4 * 64

    def __len__(self) -> int:
        return len(self._batches)

    def batches(self, epoch: int = 0, skip: int = 0) -> Iterator[Batch]:
        for batch in self._batches[skip:]:
            if not self._left:
                raise KeyboardInterrupt
            self._left -= 1
            yield batch


@pytest.mark.parametrize("after", [1, 6])
def test_a_fit_that_was_killed_draws_what_it_would_have_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(resume, "COST", float("inf"))  # a checkpoint each step
    config = TrainConfig(monitor="logloss_valid/own", epochs=2, patience=2)
    options = SampledSoftmax(samples=2)

    def trained(folder: str, left: int = 99) -> dict[str, Tensor]:
        objective = objective_of(TASKS["retrieval"], batch_of(256), options)
        model, valid = model_of(TASKS["retrieval"], objective), Made(50)
        labels = torch.cat([batch.labels["rating"] for batch in valid.batches()]).numpy()
        parts = Parts(Made(0, left), Made(50), {"rating": labels})
        keep = Checkpoints(tmp_path / folder, "key", 1)
        assert len(list(fit(model, parts, objective, config, keep))) == 2
        return model.state_dict()

    whole = trained("whole")
    with pytest.raises(KeyboardInterrupt):
        trained("killed", after)
    torch.manual_seed(after)  # nothing is owed to the generator's state at the start
    resumed = trained("killed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_steps_read_no_column_that_was_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 200,000 classes: a step makes nothing of their number but what it draws by."""
    task = TASKS["retrieval"].model_copy(update={"classes": 200_000})
    batch = batch_of(64)
    objective = objective_of(task, batch, SampledSoftmax(samples=50))
    model = model_of(task, objective).train()
    config = TrainConfig(monitor="logloss_valid/own")
    step = make_step(model, objective, build_optimizers(*parameters(model), config), config, ALONE)
    first = float(step(batch)["own"])
    sizes: list[int] = []
    new = torch.Tensor.__matmul__

    def seen(a: Tensor, b: Tensor) -> Tensor:
        sizes.append(b.shape[1])
        return new(a, b)

    monkeypatch.setattr(torch.Tensor, "__matmul__", seen)
    losses = [float(step(batch)["own"]) for _ in range(20)]
    gradient = model.get_parameter("towers.own.table").grad
    assert gradient is not None and gradient._values().shape[0] <= 50 + 4
    assert set(sizes) == {50} and losses[-1] < first
