"""D2Q: the loss by its formula, the score by numpy's quantiles, and what it does about durations."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit
from scipy.stats import rankdata, spearmanr

from recmtl.batch import Batch
from recmtl.bundle import TOLERANCE
from recmtl.heads import head_of
from recmtl.heads.duration_groups import KNOTS, DurationGroups
from recmtl.learn.group import ALONE, Group
from recmtl.learn.losses import task_loss
from recmtl.learn.optim import build_optimizers
from recmtl.learn.ranking import ranking_loss
from recmtl.learn.settings import TrainConfig
from recmtl.learn.step import Objective, make_step, parameters
from recmtl.learn.tasks import TaskStatistics
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.multitask import MultiTask, build_model
from recmtl.schema import Task
from recmtl.schema.losses import D2Q, LossConfig, Ranking
from recmtl.seed import seed_everything
from recmtl.suite.made_up import LAYOUT, make_batch, permute
from tests.heads.made_up import known_of
from tests.test_experiment import Experiment, Path, edited, refusal

TASK = Task(label="watched", type="watch_time", duration="age")
GIVEN = Task(label="watched", type="watch_time", duration="age", given="click")
LOSS = D2Q(groups=2)
ROWS = 2 * KNOTS


def made(seed: int = 0) -> tuple[Batch, np.ndarray]:
    """Rows of two groups of KNOTS, a tenth of another without a label, not clicked; and the groups."""
    random, batch = np.random.default_rng(seed), make_batch(ROWS + ROWS // 10)
    duration = random.permutation(len(batch)).astype(np.float64)
    known = random.permutation(len(batch)) < ROWS
    watched = duration * random.random(len(batch)).round(2)
    dense = batch.dense.clone()
    dense[:, 0], dense[:, 1] = torch.from_numpy(duration), 0.0
    labels = {
        "watched": torch.from_numpy(np.where(known, watched, np.nan)),
        "click": torch.from_numpy(known.astype(np.float64)),
    }
    weight = torch.from_numpy(0.5 + random.random(len(batch)))
    group = np.where(known, (rankdata(np.where(known, duration, 1e9)) - 1) // KNOTS, -1)
    return replace(batch, dense=dense, labels=labels, weight=weight), group


def statistics_of(task: Task, batch: Batch) -> TaskStatistics:
    known = known_of({"own": task}, {"own": LOSS}, batch)["own"]
    assert known.kept is not None
    known.kept.double().learn([(  # in double precision
        batch.labels["watched"][batch.labels["click"] == 1].numpy(),
        batch.dense[batch.labels["click"] == 1, 0:2].double().numpy(),
    )])
    return known


@pytest.mark.parametrize("task", [TASK, GIVEN], ids=["where it is known", "where it is given"])
def test_the_loss_is_its_formula(task: Task) -> None:
    batch, group = made()
    if task.given:  # what happened on other rows does not count
        batch.labels["watched"].nan_to_num_(nan=1e6)
    known = statistics_of(task, batch)
    watched, q = batch.labels["watched"].numpy(), np.zeros(len(batch))
    for number in (0, 1):
        own = group == number
        q[own] = (rankdata(watched[own]) - 1) / (KNOTS - 1)
    raw = np.random.default_rng(1).normal(size=len(batch))
    rows = np.where(group >= 0, batch.weight.numpy() * 12 * (expit(raw) - q) ** 2, 0.0)
    logit = torch.from_numpy(raw).requires_grad_()
    found = task_loss(task, logit, batch, known, LOSS)
    assert found.item() == pytest.approx(rows.sum() / (len(batch) * known.share), abs=1e-6)
    found.backward()
    assert logit.grad is not None
    slope = 24 * (expit(raw) - q) * expit(raw) * expit(-raw) * batch.weight.numpy()
    expected = np.where(group >= 0, slope, 0.0) / (len(batch) * known.share)
    np.testing.assert_allclose(logit.grad, expected, atol=1e-9)


def test_a_ranking_is_in_the_order_of_quantiles_whatever_the_durations() -> None:
    """Of a long item watched for a small part and a short one watched whole the second is to be first."""
    batch, group = made()
    known, watched = statistics_of(TASK, batch), batch.labels["watched"].numpy()
    raw, together = np.random.default_rng(1).normal(size=len(batch)), np.arange(len(batch)) // 4
    q = np.zeros(len(batch))
    for number in (0, 1):
        own = group == number
        q[own] = rankdata(watched[own])
    pairs = [(i, j) for first in range(0, len(batch), 4) for i in range(first, min(first + 4, len(batch)))
             for j in range(first, min(first + 4, len(batch)))
             if group[i] >= 0 and group[j] >= 0 and q[i] > q[j]]
    assert any(watched[i] < watched[j] for i, j in pairs)
    found = ranking_loss(
        TASK, torch.from_numpy(raw), replace(batch, together=torch.from_numpy(together)), known,
        D2Q(groups=2, ranking=Ranking(kind="pairwise")),
    )
    expected = np.mean([np.log1p(np.exp(raw[j] - raw[i])) for i, j in pairs])
    assert found.item() == pytest.approx(expected, abs=1e-9)


def test_its_gradient_is_that_of_small_differences() -> None:
    batch, _ = made()
    known = statistics_of(TASK, batch)
    few = replace(batch, dense=batch.dense[:8], weight=batch.weight[:8], rows=batch.rows[:8],
                  labels={name: label[:8] for name, label in batch.labels.items()})
    raw = torch.linspace(-3.0, 3.0, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: task_loss(TASK, z, few, known, LOSS), (raw,))


def test_the_score_is_the_quantile_of_the_row_s_group() -> None:
    batch, group = made()
    known = statistics_of(TASK, batch)
    raw = np.random.default_rng(2).normal(scale=3.0, size=len(batch))
    head = head_of(TASK, LOSS, known.kept)
    found = head.score(torch.from_numpy(raw), replace(batch, labels={})).numpy()
    watched = batch.labels["watched"].numpy()
    for number in (0, 1):
        own = group == number
        np.testing.assert_allclose(found[own], np.quantile(watched[own], expit(raw[own])), atol=1e-6)


def test_a_score_is_proved_as_a_part_of_the_longest_time() -> None:
    """Half of the times are 0, the others 1 to 501: another processor's last bits of z are much of 1."""
    groups = DurationGroups(slice(0, 2), 2)
    groups.learn([(np.arange(KNOTS).clip(500) - 500.0, np.zeros((KNOTS, 2), dtype=np.float32))])
    head, batch = head_of(TASK, LOSS, groups), make_batch(2)
    batch = replace(batch, dense=torch.zeros_like(batch.dense))
    z = torch.logit(torch.tensor([0.5005, 0.75], dtype=torch.float64))
    one, other = (head.score(given, batch).numpy() for given in (z, z + 1e-5))
    assert one == pytest.approx([0.5, 250.0], abs=1e-3) and abs(other[0] / one[0] - 1) > 1e-3
    np.testing.assert_allclose(head.steady(one), head.steady(other), rtol=TOLERANCE, atol=TOLERANCE)
    np.testing.assert_allclose(head.steady(one), one / 500, rtol=1e-12)


def test_a_model_without_the_loss_has_the_head_of_the_type() -> None:
    for loss in (None, 1.0, 0.5):
        assert type(head_of(TASK, loss)) is type(head_of(Task(label="watched", type="watch_time")))
    z = torch.tensor([0.0, 1.0])
    torch.testing.assert_close(head_of(TASK).score(z), z.exp())


def shown_long(rows: int, seed: int = 0) -> tuple[Batch, np.ndarray, np.ndarray]:
    """A log of videos of 5 to 300 seconds: watch time is duration times what the user thinks of the item.

    The item says that share up to noise; the duration says nothing of it. Both (rows,) are returned.
    """
    random, batch = np.random.default_rng(seed), make_batch(rows, seed)
    item = (batch.rows[:, 0] - LAYOUT.slots[0].first).numpy()
    share = expit(np.linspace(-2.0, 2.0, LAYOUT.slots[0].size)[item] + random.normal(size=rows))
    duration = np.exp(random.uniform(np.log(5), np.log(300), rows))
    dense = batch.dense.clone()
    dense[:, 0] = torch.from_numpy((np.log(duration) - 3.7) / 1.2)
    dense[:, 1] = 0.0
    labels = {"watched": torch.from_numpy((duration * share).astype(np.float32))}
    return replace(batch, dense=dense, labels=labels), duration, item


def trained(
    batch: Batch, loss: float | LossConfig, group: Group = ALONE, steps: int = 100
) -> MultiTask:
    """A model after some steps on the batch, of which each process of a group takes its share."""
    tasks, losses = {"own": TASK}, {"own": loss}
    config = ModelConfig.model_validate(
        {"sharing": {"kind": "separate", "hidden": [16]}, "towers": {"hidden": [8]}, "loss": losses}
    )
    known = known_of(tasks, losses, batch)
    seed_everything(1)
    model = build_model(config, EmbeddingConfig(width=4), LAYOUT, tasks, known).train()
    train = TrainConfig.model_validate({"monitor": "mae_valid/own", "learning_rate": 0.01})
    aim = Objective(tasks, config.loss, known)
    step = make_step(model, aim, build_optimizers(*parameters(model), train), train, group)
    own = replace(permute(batch, torch.arange(group.rank, len(batch), group.size)), whole=len(batch))
    for _ in range(steps):
        step(own)
    return model.eval()


def test_a_longer_video_is_no_better_one() -> None:
    """q̂ follows what the item is worth, not how long it is; within a group scores rise with q̂."""
    batch, _, _ = shown_long(4000)
    test, duration, item = shown_long(2000, seed=9)
    model, plain, bare = trained(batch, D2Q(groups=10)), trained(batch, 1.0), replace(test, labels={})
    with torch.no_grad():
        output = model(bare)
        q, score = output.raw["own"].sigmoid().numpy(), model.scores(output, bare)["own"].numpy()
        time = plain.scores(plain(bare), bare)["own"].numpy()
    assert spearmanr(q, item)[0] > 0.9 and abs(spearmanr(q, duration)[0]) < 0.1
    assert spearmanr(time, duration)[0] > 0.8 and spearmanr(score, duration)[0] > 0.8
    group = model.kept["own"](bare).group.numpy()
    assert len(np.unique(group)) == 10
    for number in range(10):
        own = np.flatnonzero(group == number)
        order = own[np.argsort(q[own], kind="stable")]
        assert (np.diff(score[order]) >= 0).all() and score[order[-1]] > score[order[0]]
    measured = head_of(TASK).measure(test.labels["watched"].numpy(), score)
    assert measured["xauc"] > 0.85 and measured["r2"] > 0.75


D2Q_LOSS = {"ctr": 1.0, "ctcvr": 1.0, "value": {"kind": "d2q"}}
WATCH = {"label": "spent", "type": "watch_time", "duration": "price"}
REFUSED: list[tuple[dict[str, object], str]] = [
    ({"tasks__ctr": {"label": "click", "duration": "price"}},
     "duration: a key of watch_time tasks, this one is binary"),
    ({"tasks__value": {**WATCH, "duration": "prise"}},
     "tasks.value: duration = 'prise' names no feature: give it a line of its own in [features]; "
     "did you mean 'price'?"),
    ({"tasks__value": {**WATCH, "duration": "pri*"}, "features__pri*": {"kind": "numeric"}},
     "duration = 'pri*' names no feature"),
    ({"tasks__value": {**WATCH, "duration": "user"}},
     "tasks.value: duration = 'user' must be a numeric feature, it is categorical"),
    ({"tasks__value": {"label": "spent", "type": "watch_time"}, "models__mmoe__loss": D2Q_LOSS},
     "models.mmoe: loss.value: 'd2q' compares rows of like duration: name the numeric feature"),
    ({"models__mmoe__loss": D2Q_LOSS}, "'d2q' is a loss of watch_time tasks, 'value' is regression"),
    ({"tasks__value": WATCH, "models__mmoe__loss": {**D2Q_LOSS, "value": {"kind": "d2q", "groups": 1}}},
     "greater than or equal to 2"),
    ({"tasks__value": WATCH, "models__mmoe__loss": {**D2Q_LOSS, "value": {"kind": "d2q", "group": 9}}},
     "did you mean 'groups'?"),
    ({"tasks__value": WATCH, "models__mmoe__loss": D2Q_LOSS,
      "models__mmoe__relation": {"kind": "aitm", "chain": ["ctr", "value"]}}, "chain is of binary tasks"),
    ({"tasks__value": WATCH, "tasks__all": {"label": "spent", "product": ["ctr", "value"]}},
     "every factor of a product is a binary task"),
]


@pytest.mark.parametrize(("edits", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_does_not_fit_is_refused_when_the_file_is_read(edits: dict[str, object], words: str) -> None:
    assert words in refusal(**edits)


def test_a_file_with_it_is_read_and_others_keep_their_digest() -> None:
    experiment = Experiment.parse(
        edited(tasks__value=WATCH, models__mmoe__loss=D2Q_LOSS), root=Path()
    )
    assert experiment.models["mmoe"].loss["value"] == D2Q()
    assert "duration" not in Task(label="y", type="watch_time").model_dump()
