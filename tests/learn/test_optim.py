"""Row-wise Adagrad against its formula, and its promise to touch only a batch's rows."""

import torch
from torch import Tensor

from recmtl.batch import Layout, Slot
from recmtl.kernels import Reads
from recmtl.learn import TrainConfig
from recmtl.learn.optim import RowAdagrad, build_optimizers
from recmtl.model.embedding import Lookup


def look_up(table: Tensor, rows: Tensor) -> Tensor:
    """table[rows], by the models' own look-up."""
    width = table.shape[1]
    (found,) = Lookup.apply(
        [Reads(width, rows.unsqueeze(1), 0)], torch.empty(len(rows), 0), width, 1, table
    )
    return found


def test_two_steps_by_the_formula() -> None:
    table = torch.nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    optimizer = RowAdagrad([table], lr=0.5, l2=0.1, eps=0.0)
    expected, squares = table.detach().clone(), torch.zeros(3)
    for gradient in (torch.tensor([[1.0, 3.0], [2.0, 2.0]]), torch.tensor([[0.5, -1.0], [4.0, 0.0]])):
        rows = torch.tensor([2, 0, 2])  # row 2 twice: its gradients add up before squaring
        pieces = torch.stack([gradient[0], gradient[1], gradient[0]])
        (look_up(table, rows) * pieces).sum().backward()
        total = torch.zeros(3, 2).index_add(0, rows, pieces)
        for row in (0, 2):
            g = total[row] + 0.1 * expected[row]
            squares[row] += (g**2).mean()
            expected[row] -= 0.5 * g / squares[row].sqrt()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    torch.testing.assert_close(table.detach(), expected)
    assert torch.equal(table.detach()[1], torch.tensor([3.0, 4.0]))


def test_copies_have_accumulators_of_their_own() -> None:
    """Two tasks' embeddings in one row move as they would in two tables."""
    start = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    joint = torch.nn.Parameter(start.clone())
    halves = [torch.nn.Parameter(start[:, i * 3:i * 3 + 3].clone()) for i in range(2)]
    rows = torch.tensor([1, 3, 1])
    weight = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    (look_up(joint, rows) * weight).sum().backward()
    for i, half in enumerate(halves):
        (look_up(half, rows) * weight[:, i * 3:i * 3 + 3]).sum().backward()
    RowAdagrad([joint], lr=0.1, copies=2).step()
    RowAdagrad(halves, lr=0.1).step()
    torch.testing.assert_close(joint.detach(), torch.cat([h.detach() for h in halves], 1))


def test_gradient_of_a_look_up_has_each_row_once_and_is_exact() -> None:
    table = torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    rows = torch.randint(50, (200,), generator=torch.Generator().manual_seed(2)).int()
    weight = torch.randn(200, 3, dtype=torch.float64)
    (look_up(table, rows) * weight).sum().backward()
    assert table.grad._indices()[0].tolist() == sorted(set(rows.tolist()))
    plain = table.detach().clone().requires_grad_()
    (plain[rows.long()] * weight).sum().backward()
    torch.testing.assert_close(table.grad.to_dense(), plain.grad)


def test_two_look_ups_of_one_table_add_up() -> None:
    table = torch.nn.Parameter(torch.zeros(5, 2))
    first, second = look_up(table, torch.tensor([1, 2])), look_up(table, torch.tensor([2]))
    (first.sum() + 3 * second.sum()).backward()
    RowAdagrad([table], lr=1.0, eps=0.0).step()
    torch.testing.assert_close(table.detach()[1:3], -torch.ones(2, 2))  # Adagrad's first step: lr
    assert table.detach()[3:].abs().sum() == 0


def test_the_dense_part_is_adamw_and_tables_never_become_dense() -> None:
    table, dense = torch.nn.Parameter(torch.zeros(9, 2)), torch.nn.Parameter(torch.ones(2))
    config = TrainConfig(monitor="auc_valid/ctr", learning_rate=0.01, weight_decay=0.1)
    on_tables, on_dense = build_optimizers([table], [dense], 1, [], config)
    reference = torch.nn.Parameter(torch.ones(2))
    independent = torch.optim.AdamW([reference], lr=0.01, weight_decay=0.1)
    for _ in range(3):
        (look_up(table, torch.tensor([4])).sum() + (dense**2).sum()).backward()
        (reference**2).sum().backward()
        for optimizer in (on_tables, on_dense, independent):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    torch.testing.assert_close(dense, reference)
    assert table.detach().abs().sum(1).nonzero().flatten().tolist() == [4]


def test_layout_survives_json() -> None:
    layout = Layout(
        (Slot("a", 4, 0, 5),), (Slot("b", 4, 5, 6),), {"x": 2}, {4: 11}, ("click",)
    )
    assert Layout.from_json(layout.to_json()) == layout
