"""The loops on a GPU against torch's operators in fp64, and training there against training on CPU."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recmtl.batch import Batch, Ragged
from recmtl.errors import RecmtlError
from recmtl.folder import read_manifest
from recmtl.kernels import Reads, clipped_product, engine, look_up, masked, merge, mix, unmix
from recmtl.learn import TrainConfig
from recmtl.learn.fit import Parts, fit
from recmtl.learn.group import ALONE
from recmtl.learn.optim import RowAdagrad, build_optimizers
from recmtl.learn.resume import Checkpoints
from recmtl.learn.step import Objective, Recorded, Recording, make_step, parameters
from recmtl.model.multitask import MultiTask
from recmtl.schema.weighting import DynamicAverage, Uncertainty, WeightingConfig
from recmtl.seed import sums_in_order
from tests.learn import test_fit as fits
from tests.learn import test_turns as taking_turns

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available() or engine("cuda") != "triton", reason="needs a GPU and Triton"
)
pytestmark = needs_gpu
ROWS, TASKS, EXPERTS = 1000, 2, 3
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


def draw(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to("cuda", dtype)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    slack = {torch.bfloat16: 1e-2, torch.float32: 2e-5}[found.dtype]
    torch.testing.assert_close(found.double(), expected.double(), rtol=slack, atol=slack * 10)


@DTYPES
@pytest.mark.parametrize("width", [1, 37, 128])
def test_masked(dtype: torch.dtype, width: int) -> None:
    gradient, activation = draw(ROWS, width, dtype=dtype), draw(ROWS, width, dtype=dtype, seed=1).relu()
    out, bias = masked(gradient, activation, 2.0)
    expected = gradient.double() * 2 * (activation > 0)
    close(out, expected)
    torch.testing.assert_close(bias.double(), expected.sum(0), rtol=1e-4, atol=1e-2)


@DTYPES
@pytest.mark.parametrize("width", [8, 37])
def test_mixtures(dtype: torch.dtype, width: int) -> None:
    gates = draw(ROWS, TASKS, EXPERTS).softmax(-1)
    experts = draw(ROWS, EXPERTS * width, dtype=dtype, seed=1).relu()
    given = [draw(ROWS, width, dtype=dtype, seed=2 + task) for task in range(TASKS)]
    wide = experts.double().view(ROWS, EXPERTS, width)
    for task, found in enumerate(mix(gates, experts)):
        close(found, (gates[:, task, :, None].double() * wide).sum(1))
    of_gates, of_experts, bias = unmix(given, gates, experts, 1.0)
    stacked = torch.stack(given, 1).double()
    close(of_gates, torch.einsum("bth,bkh->btk", stacked, wide))
    expected = torch.einsum("btk,bth->bkh", gates.double(), stacked).reshape(ROWS, -1) * (experts > 0)
    close(of_experts, expected)
    torch.testing.assert_close(bias.double(), expected.sum(0), rtol=1e-4, atol=1e-1)


@DTYPES
def test_look_up_of_lists(dtype: torch.dtype) -> None:
    """Some are empty, and what lies beyond the last one's end is not read."""
    table = draw(50, 10)
    lengths = torch.randint(0, 5, (ROWS,), generator=torch.Generator().manual_seed(2))
    offsets = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
    values = torch.randint(50, (int(offsets[-1]) + 9,), generator=torch.Generator().manual_seed(1))
    values[-9:] = 10**6
    out = draw(ROWS, 8, dtype=dtype)
    lists = [(Ragged(values.int().cuda(), offsets.cuda()), 2)]
    look_up(table, Reads(5, torch.empty(ROWS, 0, dtype=torch.int32, device="cuda"), 0, lists), 5, out)
    for row in range(ROWS):
        own = table[values[offsets[row] : offsets[row + 1]].cuda(), 5:].double()
        expected = own.mean(0) if len(own) else torch.zeros(5, dtype=torch.float64, device="cuda")
        close(out[row, 2:7], expected)


@DTYPES
def test_look_up(dtype: torch.dtype) -> None:
    table = draw(50, 10)
    rows = torch.randint(50, (ROWS, 3), generator=torch.Generator().manual_seed(1)).int().cuda()
    out = draw(ROWS, 20, dtype=dtype)
    before = out.clone()
    look_up(table, Reads(5, rows, 2), 5, out)
    close(out[:, 2:17], table[rows.long()][..., 5:].reshape(ROWS, 15))
    assert torch.equal(out[:, :2], before[:, :2]) and torch.equal(out[:, 17:], before[:, 17:])


@pytest.mark.parametrize("copies", [1, 2])
def test_updates_of_rows_that_stand_several_times(copies: int) -> None:
    """Slots and a list read the same rows again and again; CPU merges them first."""
    generator = torch.Generator().manual_seed(3)
    rows = torch.randint(9, (ROWS, 2), generator=generator).int()
    lengths = torch.randint(0, 4, (ROWS,), generator=generator)
    offsets = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
    values = torch.randint(9, (int(offsets[-1]),), generator=generator).int()
    tables = {}
    for device in ("cpu", "cuda"):
        table = torch.nn.Parameter(draw(12, 5 * copies).to(device))
        optimizer = RowAdagrad([table], lr=0.1, l2=0.01, copies=copies)
        for turn in range(3):
            views = [draw(ROWS, 15, seed=turn * 2 + copy).to(device) for copy in range(copies)]
            reads = Reads(5, rows.to(device), 0, [(Ragged(values.to(device), offsets.to(device)), 10)])
            distinct, gradients = merge(views, reads, 12)
            table.grad = torch.sparse_coo_tensor(distinct.unsqueeze(0), gradients, table.shape)
            optimizer.step()
        tables[device] = table.detach().cpu()
    torch.testing.assert_close(tables["cuda"], tables["cpu"], rtol=1e-4, atol=1e-4)
    assert torch.equal(tables["cuda"][9:], draw(12, 5 * copies).cpu()[9:])


def setup(
    device: str, weighting: WeightingConfig | None = None
) -> tuple[MultiTask, Parts, Objective]:
    model, parts, objective = fits.setup({"ctr": 1.0, "ctcvr": 1.0}, weighting=weighting)
    train, valid = (part.on(device) for part in (parts.train, parts.valid))  # type: ignore[attr-defined]
    return model.to(device), replace(parts, train=train, valid=valid), objective


def make_batch_of(batch: Batch, rows: int) -> Batch:
    """Its first rows."""
    lists = {
        name: Ragged(ragged.values[: int(ragged.offsets[rows])], ragged.offsets[: rows + 1])
        for name, ragged in batch.lists.items()
    }
    return replace(
        batch, rows=batch.rows[:rows], dense=batch.dense[:rows], weight=batch.weight[:rows], lists=lists,
        origin=batch.origin[:rows], labels={n: label[:rows] for n, label in batch.labels.items()},
    )


def weights(
    tmp_path: Path, device: str, weighting: WeightingConfig | None = None, **train: object
) -> dict[str, torch.Tensor]:
    """Of a model after some epochs."""
    model, parts, objective = setup(device, weighting)
    monitor = {"monitor": "auc_valid/ctcvr", "epochs": 4, "patience": 4}
    config = TrainConfig.model_validate({**monitor, **train})
    keep = fits.keep(tmp_path / device)
    with sums_in_order(config.deterministic):
        list(fit(model, parts, objective, config, keep))
    return {name: tensor.cpu() for name, tensor in model.state_dict().items()}


def test_training_is_that_on_cpu(tmp_path: Path) -> None:
    on_cpu, on_gpu = weights(tmp_path, "cpu"), weights(tmp_path, "cuda")
    for name, tensor in on_cpu.items():
        torch.testing.assert_close(on_gpu[name], tensor, rtol=1e-2, atol=1e-3, msg=name)


@pytest.mark.parametrize("weighting", [None, Uncertainty(), DynamicAverage(temperature=0.1)], ids=repr)
def test_recorded_steps_are_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weighting: WeightingConfig | None
) -> None:
    """Of 16 steps three warm up, the others are played: other batches in the recorded one's place."""
    played: list[int] = []
    replay = torch.cuda.CUDAGraph.replay
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", lambda graph: played.append(1) or replay(graph))
    by_graph = weights(tmp_path / "recorded", "cuda", weighting)
    assert len(played) >= 10
    monkeypatch.setattr(Recorded, "__call__", lambda self, batch: self._step(batch))
    taken = weights(tmp_path / "taken", "cuda", weighting)
    for name, tensor in taken.items():
        torch.testing.assert_close(by_graph[name], tensor, rtol=1e-2, atol=1e-3, msg=name)


def test_a_schedule_is_that_on_cpu(tmp_path: Path) -> None:
    schedule = {"batch_size": 128, "schedule": {"kind": "cosine", "warmup": 5}}
    on_cpu, on_gpu = (weights(tmp_path, device, **schedule) for device in ("cpu", "cuda"))
    for name, tensor in on_cpu.items():
        torch.testing.assert_close(on_gpu[name], tensor, rtol=1e-2, atol=1e-3, msg=name)


def test_tasks_in_turn_are_those_on_cpu(tmp_path: Path) -> None:
    """With a penalty, decay and an embedding a task and one for all: no step of theirs is recorded."""
    found = []
    for device in ("cpu", "cuda"):
        model, parts, objective = taking_turns.setup(
            sharing={"kind": "cgc", "hidden": [8], "balance": 0.1}, tables="both",
        )
        for part in (*parts.train._parts, parts.valid):  # type: ignore[attr-defined]
            part._batches = [batch.to(torch.device(device)) for batch in part._batches]
        config = taking_turns.settings(weight_decay=0.1)
        list(fit(model.to(device), parts, objective, config, fits.keep(tmp_path / device)))
        found.append({name: tensor.cpu() for name, tensor in model.state_dict().items()})
    for name, tensor in found[0].items():
        torch.testing.assert_close(found[1][name], tensor, rtol=1e-2, atol=1e-3, msg=name)


def test_sums_in_order_are_equal_in_every_run(tmp_path: Path) -> None:
    first = weights(tmp_path / "1", "cuda", deterministic=True)
    second = weights(tmp_path / "2", "cuda", deterministic=True)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_loss_that_is_not_finite_is_named_and_not_saved(tmp_path: Path) -> None:
    model, parts, objective = setup("cuda")
    *_, last = parts.train.batches()
    last.dense[3, 0] = torch.inf
    config = TrainConfig(monitor="auc_valid/ctr", epochs=3, patience=3)
    keep = Checkpoints(tmp_path, "key", every=1)
    with pytest.raises(RecmtlError, match=r"epoch 1, step 4: the loss is NaN"):
        list(fit(model, parts, objective, config, keep))
    saved = [read_manifest(file.parent) for file in tmp_path.rglob("*.safetensors")]
    assert all(manifest["standing"]["steps"] < 4 for manifest in saved)


@DTYPES
def test_nan_is_neither_clipped_nor_masked(dtype: torch.dtype) -> None:
    """Else a loss would stay finite over weights that are not."""
    x = draw(ROWS, 24, dtype=dtype)
    x[5, 3] = torch.nan
    weight, bias = draw(40, 24, dtype=dtype), draw(40, dtype=dtype)
    assert clipped_product(x, [(weight, bias)])[5].isnan().all()
    out, _ = masked(x, torch.ones_like(x), 1.0)
    assert out[5, 3].isnan()


@pytest.mark.parametrize(("smaller", "plays"), [(3, 12), (0, 13)], ids=["the last", "the first"])
def test_each_size_of_batch_is_recorded_when_it_comes_again(
    monkeypatch: pytest.MonkeyPatch, smaller: int, plays: int
) -> None:
    """15 steps of 128 rows and 5 of 40: three warm up, and the first of a size; the others are played."""
    played, play = [], Recording.play
    monkeypatch.setattr(Recording, "play", lambda own, b: played.append(len(b)) or play(own, b))
    monkeypatch.setattr("recmtl.learn.step.ROOM", 2.0)  # for the lists of every batch
    found: list[list[torch.Tensor]] = []
    config = TrainConfig(monitor="auc_valid/ctr")
    for recorded in (True, False):
        model, parts, objective = setup("cuda")
        batches = list(parts.train.batches())
        batches[smaller] = make_batch_of(batches[smaller], 40)
        step = make_step(model, objective, build_optimizers(*parameters(model), config), config, ALONE)
        assert isinstance(step, Recorded)
        taken = step if recorded else step._step
        losses = [torch.stack([*taken(batch).values()]) for _ in range(5) for batch in batches]
        found.append([*losses, *(parameter.detach() for parameter in model.parameters())])
    for by_graph, by_step in zip(*found, strict=True):
        torch.testing.assert_close(by_graph, by_step, rtol=1e-2, atol=1e-3)
    assert [played.count(128), played.count(40)] == [plays, 4]
