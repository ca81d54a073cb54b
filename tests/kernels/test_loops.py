"""The C++ loops against torch's operators, and both against what is worked out by hand."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recmtl.batch import Ragged
from recmtl.kernels import (
    Reads,
    adagrad,
    clipped_product,
    engine,
    library,
    look_up,
    masked,
    merge,
    mix,
    table,
    unmix,
)
from tests.kernels import compiler

COMPILED = library._library
ROWS, TASKS, EXPERTS = 300, 3, 5  # more rows than a block of the loops, and none divides evenly


@pytest.fixture(params=["native", "torch"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test runs on either engine."""
    use(request.param, monkeypatch)
    return str(request.param)


def use(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_library", COMPILED if name == "native" else lambda: None)
    if name == "native":
        compiler.need()
    assert engine() == name


def both(monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any]) -> tuple[Any, Any]:
    """What a call gives on C++ and on torch."""
    use("native", monkeypatch)
    native = call()
    use("torch", monkeypatch)
    return native, call()


def draw(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width", [1, 16, 37])
def test_dense_loops_are_equal(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, width: int) -> None:
    activation = draw(ROWS, EXPERTS * width, dtype=dtype).relu()
    gradient = draw(ROWS, EXPERTS * width, dtype=dtype, seed=1)
    gates = draw(ROWS, TASKS, EXPERTS, seed=2).softmax(-1)
    each = [draw(ROWS, width, dtype=dtype, seed=3 + task) for task in range(TASKS)]
    layer = [(draw(width, 7, dtype=dtype, seed=k), draw(width, dtype=dtype, seed=k)) for k in range(2)]
    x = draw(ROWS, 14, dtype=dtype)
    for call in (
        lambda: (clipped_product(x, layer),),
        lambda: masked(gradient, activation, 1.25),
        lambda: masked(gradient.clone(), activation, 1.25, spent=True),
        lambda: mix(gates, activation),
        lambda: unmix(each, gates, activation, 1.25),
    ):
        for native, plain in zip(*both(monkeypatch, call), strict=True):
            assert native.dtype == plain.dtype or dtype == torch.bfloat16  # sums stay in fp32
            close = {} if dtype == torch.float32 else {"rtol": 2e-2, "atol": 6e-2}
            torch.testing.assert_close(native.float(), plain.float(), **close)


def test_a_mixture_by_hand(by: str) -> None:
    experts = torch.tensor([[1.0, 10.0, 3.0, 30.0]])  # one row, two experts of two units
    gates = torch.tensor([[[0.25, 0.75], [1.0, 0.0]]])  # two tasks
    assert [out.tolist() for out in mix(gates, experts)] == [[[2.5, 25.0]], [[1.0, 10.0]]]
    given = [torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 0.0]])]
    of_gates, of_experts, bias = unmix(given, gates, experts, 1.0)
    assert of_gates.tolist() == [[[21.0, 63.0], [4.0, 12.0]]]
    assert of_experts.tolist() == [[4.25, 0.5, 0.75, 1.5]] and bias.tolist() == [4.25, 0.5, 0.75, 1.5]


def test_a_nan_is_neither_clipped_nor_lost_in_rounding(by: str) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.tensor([[float("nan"), 1.0], [-1.0, 1.0]], dtype=dtype)
        weight, bias = torch.eye(2, dtype=dtype), torch.zeros(2, dtype=dtype)
        out = clipped_product(x, [(weight, bias)])
        assert out[0].isnan().all() and out[1].tolist() == [0.0, 1.0]


def reads(kind: torch.dtype, table_rows: int, width: int) -> Reads:
    """Three slots and two lists, one of them with empty lists, of 40 impressions; strided rows."""
    generator = torch.Generator().manual_seed(5)
    every = torch.randint(table_rows, (40, 5), generator=generator).to(kind)
    lengths = torch.randint(0, 4, (2, 40), generator=generator)
    lists = []
    for place, own in enumerate(lengths):
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), own.cumsum(0)])
        values = torch.randint(table_rows, (int(offsets[-1]),), generator=generator).to(kind)
        lists.append((Ragged(values, offsets), (3 + place) * width))
    return Reads(width, every[:, 1:4], 0, lists)


@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width", [3, 16, 39])  # gradients are summed up 16, 4 and 1 columns at a time
def test_table_loops_are_equal(
    monkeypatch: pytest.MonkeyPatch, kind: torch.dtype, dtype: torch.dtype, width: int
) -> None:
    copies, rows = 2, 5000  # two digits of the radix sort
    table, read = draw(rows, copies * width), reads(kind, rows, width)

    def views() -> list[Tensor]:
        out = [torch.full((40, 5 * width + 2), 7.0, dtype=dtype) for _ in range(copies)]
        for copy, view in enumerate(out):
            look_up(table, read, copy * width, view)
        return out

    for native, plain in zip(*both(monkeypatch, views), strict=True):
        torch.testing.assert_close(native, plain)
        assert (native[:, 5 * width :] == 7.0).all()  # columns of other parts are left alone
    given = [draw(40, 5 * width + 2, dtype=dtype, seed=copy) for copy in range(copies)]
    (distinct, native), (wanted, plain) = both(monkeypatch, lambda: merge(given, read, rows))
    assert torch.equal(distinct, wanted) and distinct.dtype == torch.int64
    assert (distinct.diff() > 0).all()
    torch.testing.assert_close(native, plain, rtol=1e-2 if dtype == torch.bfloat16 else 1e-5, atol=1e-2
                               if dtype == torch.bfloat16 else 1e-6)


def test_many_rows_are_sorted_by_all_threads(by: str) -> None:
    """Each gradient counts its place, so that its sum over a row tells which places were summed."""
    rows = torch.randint(9000, (32768, 9), dtype=torch.int32, generator=torch.Generator().manual_seed(5))
    gradient = torch.arange(rows.numel(), dtype=torch.float32).view(32768, 9) % 251
    expected = np.unique(rows.numpy())
    sums = np.bincount(rows.numpy().ravel(), weights=gradient.numpy().ravel())[expected]
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        for _ in range(20):  # threads meet in another order each time
            distinct, values = merge([gradient], Reads(1, rows, 0), 9000)
            assert np.array_equal(distinct.numpy(), expected)
            assert np.array_equal(values.numpy()[:, 0], sums)
    finally:
        torch.set_num_threads(threads)


def test_merge_by_hand(by: str) -> None:
    rows = torch.tensor([[7, 2], [7, 0]])
    ragged = Ragged(torch.tensor([2, 7]), torch.tensor([0, 2, 2]))  # rows 2 and 7, and nothing
    gradient = torch.tensor([[1.0, 10.0, 4.0], [100.0, 1000.0, 8.0]])
    distinct, values = merge([gradient], Reads(1, rows, 0, [(ragged, 2)]), 8)
    assert distinct.tolist() == [0, 2, 7]
    assert values.tolist() == [[1000.0], [10.0 + 2.0], [1.0 + 100.0 + 2.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merge_of_lists_that_were_read_apart(by: str, dtype: torch.dtype) -> None:
    """Their values have gradients of their own; a row that a slot reads, too, gets the sum."""
    rows = torch.tensor([[7, 2], [7, 0]])
    averaged = Ragged(torch.tensor([2, 7]), torch.tensor([0, 2, 2]))
    first = Ragged(torch.tensor([7, 5, 5]), torch.tensor([0, 1, 3]))
    second = Ragged(torch.tensor([0]), torch.tensor([0, 0, 1]))
    read = Reads(1, rows, 0, [(averaged, 2)], [first, second])
    copies = [torch.tensor([[1.0, 10.0, 4.0], [100.0, 1000.0, 8.0]], dtype=dtype) * c for c in (1, 2)]
    apart = [[torch.tensor([[0.5], [3.0], [4.0]], dtype=dtype) * c for c in (1, 2)],
             [torch.tensor([[16.0]], dtype=dtype) * c for c in (1, 2)]]
    distinct, values = merge(copies, read, 8, apart=apart)
    assert distinct.tolist() == [0, 2, 5, 7]
    wanted = [1000.0 + 16.0, 10.0 + 2.0, 3.0 + 4.0, 1.0 + 100.0 + 2.0 + 0.5]
    assert values.tolist() == [[value, 2 * value] for value in wanted]


def test_merge_of_one_slot_among_others(by: str) -> None:
    """Its rows do not lie side by side in memory."""
    every = torch.tensor([[9, 3, 9], [9, 1, 9], [9, 3, 9]])
    distinct, values = merge([torch.tensor([[1.0], [2.0], [4.0]])], Reads(1, every[:, 1:2], 0), 5)
    assert distinct.tolist() == [1, 3]
    assert values.tolist() == [[2.0], [1.0 + 4.0]]


def test_merge_of_nothing_is_nothing(by: str) -> None:
    distinct, values = merge([torch.empty(0, 4)], Reads(4, torch.empty(0, 1, dtype=torch.int32), 0), 9)
    assert distinct.shape == (0,) and values.shape == (0, 4)


def test_a_batch_without_rows_reads_and_moves_nothing(by: str) -> None:
    """As a process's part of an epoch's last batch may be."""
    table, out = draw(9, 4), torch.empty(0, 6)
    look_up(table, Reads(4, torch.empty(0, 1, dtype=torch.int32), 0), 0, out)
    squares, before = torch.ones(9, 2), table.clone()
    adagrad(table, squares, torch.empty(0, dtype=torch.int64), torch.empty(0, 4), 0.5, 0.1, 1e-8)
    assert torch.equal(table, before) and torch.equal(squares, torch.ones(9, 2))


def test_adagrad_by_the_formula(by: str) -> None:
    table, squares = draw(6, 4), torch.rand(6, 2)
    rows, gradients = torch.tensor([1, 4]), draw(2, 4, seed=1)
    whole = (gradients + 0.1 * table[rows]).view(2, 2, 2)
    wanted = squares[rows] + whole.square().mean(2)
    moved = table[rows] - (0.5 * whole / (wanted.sqrt() + 1e-8).unsqueeze(2)).view(2, 4)
    before = table.clone()
    adagrad(table, squares, rows, gradients, 0.5, 0.1, 1e-8)
    torch.testing.assert_close(table[rows], moved)
    torch.testing.assert_close(squares[rows], wanted)
    assert torch.equal(table[[0, 2, 3, 5]], before[[0, 2, 3, 5]])


def test_without_a_compiler_torch_does_it(tmp_path: Path) -> None:
    code = "from recmtl.data import native; from recmtl.kernels import engine\n" \
           "print('loops' if native.compiled() else engine())"
    for change in ({"CXX": "no-such-compiler"}, {"RECMTL_KERNELS": "torch"}):
        environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)} | change
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.stdout.strip() == "torch" and done.stderr == ""
        assert not list(tmp_path.rglob("*.so"))


def test_room_beyond_the_lists_is_no_part_of_them() -> None:
    rows = torch.tensor([[4], [5]])
    ragged = Ragged(torch.tensor([2, 3, 99, 99]), torch.tensor([0, 0, 2]))
    assert table._read_rows(Reads(1, rows, 0, [(ragged, 1)])).tolist() == [4, 5, 2, 3, -1, -1]
    assert table._read_rows(Reads(1, rows, 0, [], [ragged])).tolist() == [4, 5, 2, 3, -1, -1]
