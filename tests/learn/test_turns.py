"""Tasks that take turns: as a plain loop with an optimizer a source, and what stands still meanwhile."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recmtl.batch import Batch
from recmtl.learn import TrainConfig, resume, turns
from recmtl.learn.epoch import Epoch
from recmtl.learn.fit import Parts, fit
from recmtl.learn.group import ALONE
from recmtl.learn.optim import build_optimizers
from recmtl.learn.resume import Checkpoints, Standing
from recmtl.learn.step import Objective, make_step, parameters
from recmtl.learn.tasks import statistics
from recmtl.learn.turns import InTurns, Turn, backward, interleaved, take_turns
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.multitask import MultiTask, build_model
from recmtl.schema import Task
from recmtl.seed import seed_everything
from recmtl.suite.made_up import LAYOUT, make_batch
from tests.learn.test_optim import look_up
from tests.learn.test_resume import Stopped, Stopping

TASKS = {
    "ctr": Task(label="click"), "ctcvr": Task(label="converted"),
    "age": Task(label="minutes", type="regression"),
}
SHOP, PANEL = ("click", "converted"), ("minutes",)  # what each source knows
LOSS = {"ctr": 1.0, "ctcvr": 1.0, "age": 1.0}
TAKEN = (("ctr", "ctcvr"), ("age",))


class Rows:
    """Batches in memory of rows that know some labels, in an order of each epoch's own."""

    def __init__(self, sizes: Sequence[int], known: Sequence[str], seed: int) -> None:
        self._batches = [self._made(rows, known, seed + i) for i, rows in enumerate(sizes)]
        self.rows = sum(sizes)

    def __len__(self) -> int:
        return len(self._batches)

    def batches(self, epoch: int = 0, skip: int = 0) -> Iterator[Batch]:
        first = epoch % len(self)
        yield from [*self._batches[first:], *self._batches[:first]][skip:]

    def label(self, name: str) -> np.ndarray:
        return torch.cat([batch.labels[name] for batch in self._batches]).numpy()

    @staticmethod
    def _made(rows: int, known: Sequence[str], seed: int) -> Batch:
        batch = make_batch(rows, seed)
        click = (batch.dense[:, 0] > 0).float()
        labels = {"click": click, "converted": click * (batch.dense[:, 1] > 0),
                  "minutes": 40 + 9 * batch.dense[:, 2]}
        return replace(batch, labels={
            name: label if name in known else torch.full_like(label, torch.nan)
            for name, label in labels.items()
        })


def in_fp64(part: Rows) -> Rows:
    part._batches = [replace(batch, dense=batch.dense.double()) for batch in part._batches]
    return part


def setup(
    kind: str = "shared_bottom", loss: Mapping[str, object] = LOSS, taken: turns.TurnTasks = TAKEN,
    last: int = 31, **model: object,
) -> tuple[MultiTask, Parts, Objective]:
    """A shop of five batches that knows clicks, a panel of two that knows ages; one model for both."""
    shop, panel = Rows([64, 64, 64, 64, 20], SHOP, 0), Rows([64, last], PANEL, 50)
    valid = Rows([48, 48], (*SHOP, *PANEL), 90)
    labels = {n: np.concatenate([shop.label(n), panel.label(n)]) for n in (*SHOP, *PANEL)}
    tasks = {name: TASKS[name] for name in loss}
    known = statistics(tasks, labels, np.ones(shop.rows + panel.rows))
    config = ModelConfig.model_validate({
        "sharing": {"kind": kind, "hidden": [8]}, "towers": {"hidden": [8]}, "loss": loss,
        "turns": taken, **model,
    })
    seed_everything(1)
    made = build_model(config, EmbeddingConfig(width=4, init=0.5), LAYOUT, tasks, known)
    objective = Objective(tasks, config.loss, known, turns=take_turns(taken, tasks, labels))
    parts = Parts(InTurns([shop, panel]), valid, {n: valid.label(n) for n in (*SHOP, *PANEL)})
    return made, parts, objective


def turned_round(parts: Parts) -> Parts:
    """With ages on valid that are the worse guessed the more is learned of those on train."""
    return replace(parts, labels={**parts.labels, "minutes": 80 - parts.labels["minutes"]})


def settings(**train: object) -> TrainConfig:
    return TrainConfig.model_validate({
        "monitor": "auc_valid/ctr", "epochs": 3, "patience": 3, "learning_rate": 0.01, **train,
    })


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_it_is_a_plain_loop_with_an_optimizer_a_source(tmp_path: Path) -> None:
    """In fp64. Of seven batches an epoch the panel's stand at ¼ and ¾: S P S S S P S.

    Decay is that of AdamW on all numbers that have had a gradient: some units are dead.
    """
    loss, config = {"ctr": 1.0, "age": 0.3}, settings(weight_decay=0.1, table_l2=0.02)
    model, parts, objective = setup(loss=loss, taken=(("ctr",), ("age",)))
    shop, panel = (in_fp64(part) for part in parts.train._parts)  # type: ignore[attr-defined]
    parts = replace(parts, valid=in_fp64(parts.valid))  # type: ignore[arg-type]
    plain = deepcopy(model.double())
    spread = panel.label("minutes").std(dtype=np.float64)
    tables = list(plain.embedding.tables.parameters())
    own = {
        source: [*plain.sharing.parameters(), *plain.towers[task].parameters()]
        for source, task in (("S", "ctr"), ("P", "age"))
    }
    adam = {source: torch.optim.AdamW(own[source], 0.01, weight_decay=0.0) for source in "SP"}
    learned = {source: [torch.zeros_like(p, dtype=torch.bool) for p in own[source]] for source in "SP"}
    squares = {source: [table.new_zeros(len(table)) for table in tables] for source in "SP"}

    keep = Checkpoints(tmp_path, "key", 1000)
    for number, epoch in enumerate(fit(model, parts, objective, config, keep), 1):
        waiting = {"S": shop.batches(number), "P": panel.batches(number)}
        found: dict[str, list[float]] = {"S": [], "P": []}
        for source in "SPSSSPS":
            batch = next(waiting[source])
            plain.zero_grad(set_to_none=True)
            raw = plain.train()(batch).raw
            if source == "S":
                value = F.binary_cross_entropy_with_logits(raw["ctr"], batch.labels["click"].double())
            else:
                value = ((raw["age"] - batch.labels["minutes"]) / spread).square().mean()
            found[source].append(value.item())
            (value if source == "S" else 0.3 * value).backward()
            for parameter, ever in zip(own[source], learned[source], strict=True):
                assert parameter.grad is not None
                ever |= parameter.grad != 0
                parameter.data[ever] *= 1 - 0.01 * 0.1
            adam[source].step()
            for table, sums in zip(tables, squares[source], strict=True):
                assert table.grad is not None
                rows = table.grad._indices()[0].unique()
                gradient = table.grad.to_dense()[rows] + 0.02 * table.data[rows]
                sums[rows] += (gradient**2).mean(1)
                table.data[rows] -= 0.05 * gradient / (sums[rows].sqrt() + 1e-8).unsqueeze(1)
        for name, theirs in plain.state_dict().items():
            torch.testing.assert_close(model.state_dict()[name], theirs, rtol=0, atol=1e-9)
        assert epoch.metrics["loss_train/ctr"] == pytest.approx(np.mean(found["S"]), abs=1e-6)
        assert epoch.metrics["loss_train/age"] == pytest.approx(np.mean(found["P"]), abs=1e-6)


def own_parts(model: MultiTask, kind: str, task: str) -> list[Tensor]:
    """What no loss but this task's has a way to; tasks are ctr, ctcvr and age, two experts each."""
    number, sharing = [*LOSS].index(task), model.sharing
    found: list[Tensor] = list(model.towers[task].parameters())
    if kind in ("separate", "single", "soft_sharing"):
        found += sharing.get_submodule(f"networks.{task}").parameters()
    if kind == "tensor_factorization":
        found += [p[number] for n, p in sharing.named_parameters() if n.endswith(("mix", "bias"))]
    if kind == "cross_stitch":
        found += [sharing.get_parameter("stitches.0")[number]]
    level = {"mmoe": "", "cgc": "levels.0", "stem": ""}.get(kind)
    if level is not None:
        found += sharing.get_submodule(f"{level}.gates.{task}".lstrip(".")).parameters()
    if kind in ("cgc", "stem"):
        experts = sharing.get_submodule(f"{level}.experts".lstrip("."))
        rows = slice(2 * number * 8, 2 * (number + 1) * 8)
        found += [experts.get_parameter("weight")[rows], experts.get_parameter("bias")[rows]]
        for place in (2 * number, 2 * number + 1):
            found += experts.get_submodule(f"above.{place}").parameters()
    if model.embedding.copies > 1:
        for width, table in model.embedding.tables.named_parameters():
            found.append(table[:, int(width) * number : int(width) * (number + 1)])
    return [tensor.detach() for tensor in found]


OWNED: list[tuple[str, dict[str, object]]] = [
    ("shared_bottom", {}), ("separate", {}), ("single", {}), ("soft_sharing", {}),
    ("mmoe", {"balance": 0.1}), ("cgc", {"balance": 0.1, "hidden": [8, 8]}),
    ("cgc", {"balance": 0.1, "hidden": [8, 8], "tables": "both"}),
    ("stem", {"balance": 0.1, "hidden": [8, 8]}), ("cross_stitch", {}), ("tensor_factorization", {}),
]


@pytest.mark.parametrize(("kind", "options"), OWNED, ids=str)
def test_what_others_alone_move_stands_to_the_last_bit(kind: str, options: dict[str, object]) -> None:
    """Whatever decays, is penalised, or was moved before; clicks and conversions have a relation, too."""
    of_sharing = {key: value for key, value in options.items() if key != "tables"}
    model, parts, objective = setup(
        kind, sharing={"kind": kind, "hidden": [8], **of_sharing}, tables=options.get("tables"),
        relation={"kind": "aitm", "chain": ["ctr", "ctcvr"]},
    )
    config = settings(weight_decay=0.1, table_l2=0.0 if model.embedding.copies > 1 else 0.1)
    steps = [
        make_step(model.train(), turn, build_optimizers(*parameters(model), config, True), config, ALONE)
        for turn in objective.apart
    ]
    relation = [parameter.detach() for parameter in model.relation.parameters()]
    waiting = {
        0: [*own_parts(model, kind, "age")],
        1: [*own_parts(model, kind, "ctr"), *own_parts(model, kind, "ctcvr"), *relation],
    }
    every = [parameter.detach() for parameter in model.parameters()]
    for batch in parts.train.batches(1):  # each has had a turn before the other's last
        stood, moved = waiting[batch.turn], waiting[1 - batch.turn]
        before, mine = ([t.clone() for t in tensors] for tensors in (stood, moved))
        whole = [tensor.clone() for tensor in every]
        losses = steps[batch.turn](batch)
        assert ("relation.calibrator" in losses) and ("ctr" in losses) == (batch.turn == 0)
        assert all(torch.equal(t, was) for t, was in zip(stood, before, strict=True))
        assert not any(torch.equal(t, was) for t, was in zip(moved, mine, strict=True))
        assert not all(torch.equal(t, was) for t, was in zip(every, whole, strict=True))


def test_a_penalty_moves_what_the_losses_move() -> None:
    """A number at a time, in a tensor as in the rows of a table."""
    weight = nn.Parameter(torch.tensor([3.0, 5.0, 7.0]))
    other, table = nn.Parameter(torch.ones(2)), nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    row = look_up(table, torch.tensor([1]))
    loss, penalty = 2 * weight[1] + 5 * row[0, 0], (weight**2).sum() + other.sum() + (row**2).sum()
    backward(loss, penalty, [weight, other, table])
    assert weight.grad is not None and weight.grad.tolist() == [0.0, 2.0 + 10.0, 0.0]
    assert other.grad is None
    assert table.grad is not None and table.grad.is_sparse
    assert table.grad.to_dense().tolist() == [[0.0, 0.0], [5.0 + 6.0, 0.0]]


def test_a_ranking_is_a_part_of_its_task_s_loss_and_no_penalty() -> None:
    ranked = {"kind": "cross_entropy", "weight": 0.7, "ranking": {"kind": "listwise", "weight": 3.0}}
    model, parts, objective = setup("soft_sharing", loss={"ctr": ranked, "age": 1.0},
                                    taken=(("ctr",), ("age",)))
    batch = replace(next(iter(parts.train.batches())), together=torch.arange(64) // 4)
    output, own = model.train()(batch), objective.apart[0]
    losses = own.losses(output, batch)
    assert set(losses) == {"ctr", "ranking.ctr"}
    tower = [*model.towers["ctr"].parameters()]
    value = 0.7 * (losses["ctr"] + 3.0 * losses["ranking.ctr"])
    expected = torch.autograd.grad(value, tower, retain_graph=True)
    own.backward({**losses, **output.penalties}, None, ALONE, parameters(model))
    for parameter, gradient in zip(tower, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert all(parameter.grad is None for parameter in model.towers["age"].parameters())


def test_turns_are_spread_evenly_and_end_together() -> None:
    assert interleaved([5, 2]).tolist() == [0, 1, 0, 0, 0, 1, 0]
    assert interleaved([2, 2]).tolist() == [0, 1, 0, 1]
    assert interleaved([1, 4]).tolist() == [1, 1, 0, 1, 1]
    counts = [97, 3, 40]
    order = interleaved(counts)
    assert np.bincount(order).tolist() == counts
    for turn, count in enumerate(counts):
        due = count * np.arange(1, len(order) + 1) / len(order)
        assert np.abs(np.cumsum(order == turn) - due).max() < 1.5


def test_every_batch_comes_once_an_epoch_and_skipped_ones_are_those_that_come_first() -> None:
    _, parts, _ = setup()
    train = parts.train
    assert len(train) == 7 and train.rows == 276 + 95
    whole = list(train.batches(2))
    assert [batch.turn for batch in whole] == [0, 1, 0, 0, 0, 1, 0]
    assert sorted(map(len, whole)) == [20, 31, 64, 64, 64, 64, 64]
    for skip in range(8):
        left = list(train.batches(2, skip))
        assert [b.turn for b in left] == [b.turn for b in whole[skip:]]
        assert all(torch.equal(a.dense, b.dense) for a, b in zip(left, whole[skip:], strict=True))


def test_a_turn_goes_over_the_rows_of_which_a_label_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "BLOCK", 3)
    nan = np.nan
    labels = {
        "click": np.array([0, 1, nan, nan, nan, 1, nan]),
        "bought": np.array([0, nan, 1, nan, nan, nan, nan]),
        "age": np.array([nan, nan, nan, 30, nan, 7, nan]),
        "pages": np.array([nan, nan, nan, nan, 2, 1, nan]),
    }
    tasks = {
        "ctr": Task(label="click"), "cvr": Task(label="bought", given="click"),
        "both": Task(label=("age", "pages"), type="regression"),
        "age": Task(label="age", type="regression"),
    }
    shop, panel, age = take_turns((("ctr", "cvr"), ("both",), ("age",)), tasks, labels)
    assert shop.places.tolist() == [0, 1, 2, 5] and shop.part == pytest.approx(4 / 7)
    assert panel.places.tolist() == [3, 4, 5] and age.places.tolist() == [3, 5]
    assert shop.tasks == ("ctr", "cvr") and not take_turns((), tasks, labels)


def test_a_turn_s_shares_are_those_of_its_rows() -> None:
    """A label that three of ten rows have, in a turn of six: half of them."""
    known = statistics({"ctr": TASKS["ctr"]}, {"click": np.array([0, 1, 1, *[np.nan] * 7])}, np.ones(10))
    own = [Turn(("ctr",), np.arange(6), 0.6), Turn(("age",), np.arange(4), 0.4)]
    first, second = Objective(TASKS, {"ctr": 2.0, "age": 1.0}, known, turns=own).apart
    assert first.statistics["ctr"].share == pytest.approx(0.5) and first.loss == {"ctr": 2.0}
    assert second.loss == {"age": 1.0} and first.apart[0] is first


def trained(folder: Path, after: int | None = None) -> tuple[dict[str, Tensor], list[Epoch]]:
    """With dropout, decay, a penalty and a schedule; the panel's age gets no better, and stops."""
    model, parts, objective = setup(
        sharing={"kind": "cgc", "hidden": [8], "balance": 0.1, "dropout": 0.2}, tables="both",
    )
    parts = turned_round(parts)
    if after is not None:
        parts = replace(parts, train=Stopping(parts.train, after))
    config = settings(
        weight_decay=0.1, task_patience=1, schedule={"kind": "cosine", "warmup": 3}, learning_rate=0.03,
    )
    epochs = list(fit(model, parts, objective, config, Checkpoints(folder, "key", 1)))
    return model.state_dict(), epochs


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], list[Epoch]]:
    return trained(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("after", [1, 6, 9, 16])
def test_killed_at_any_turn_it_ends_with_the_same_weights(
    undisturbed: tuple[dict[str, Tensor], list[Epoch]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:
    monkeypatch.setattr(resume, "COST", float("inf"))
    whole, epochs = undisturbed
    with pytest.raises(Stopped):
        trained(tmp_path / "killed", after)
    resumed, again = trained(tmp_path / "killed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert [epoch.metrics for epoch in again] == [epoch.metrics for epoch in epochs]
    assert [epoch.metrics["weight/age"] for epoch in epochs] == [1.0, 1.0, 0.0]


def test_a_turn_whose_tasks_have_stopped_moves_nothing_more(tmp_path: Path) -> None:
    """Its losses are told as before; training ends when the others have stopped, too."""
    model, parts, objective = setup("separate")
    parts = turned_round(parts)
    config = settings(weight_decay=0.1, task_patience=1, epochs=60, patience=60)
    found = [(epoch, copied(model))
             for epoch in fit(model, parts, objective, config, Checkpoints(tmp_path, "key", 99))]
    at = [epoch.metrics["weight/age"] for epoch, _ in found].index(0.0)
    (_, before), (epoch, after) = found[at - 1], found[at]
    own = [name for name in after if name.startswith(("towers.age", "sharing.networks.age"))]
    assert own and all(torch.equal(before[name], after[name]) for name in own)
    assert epoch.metrics["loss_train/age"] > 0
    assert epoch.metrics["weight/ctr"] == 1.0 and not torch.equal(
        before["towers.ctr.head.weight"], after["towers.ctr.head.weight"])
    assert len(found) < 60 and set(objective.apart[0].stopped) == {"ctr", "ctcvr"}


def test_a_checkpoint_of_a_version_without_turns_is_read() -> None:
    standing = Standing(epoch=2, steps=5, losses={"ctr": 3.0}).to_json()
    del standing["counts"]
    assert Standing.from_json(standing).counts == {"ctr": 5}
