"""The loops of a training step on a GPU: tensors in, Triton's programs over them, tensors out.

Each has an equal in torch's own operators beside its caller; `library.on_gpu` says which is to run. Sums
over rows are taken by atomic additions, so that their last bits change from run to run.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch import Tensor

from recmtl.batch import Ragged
from recmtl.kernels import triton_loops as loops

ENTRIES, LINES, WIDE, TURNS = 128, 8, 128, 16


def gather(table: Tensor, first: int, width: int, rows: Tensor, out: Tensor) -> None:
    """out[b, s · width :] ← table[rows[b, s], first : first + width]: out (B, ≥ S · width)."""
    count = rows.numel()
    _run(loops.gather, _programs(count, ENTRIES), table, table.stride(0), first, rows, rows.stride(0),
         out, out.stride(0), count, rows.shape[1], WIDTH=width, PADDED=_padded(width), ENTRIES=ENTRIES)


def try_out() -> None:
    """Compile and run one program. Raises whatever Triton does where it cannot."""
    table = torch.zeros(1, 1, device="cuda")
    gather(table, 0, 1, torch.zeros(1, 1, dtype=torch.int32, device="cuda"), torch.empty_like(table))


def pool(table: Tensor, first: int, width: int, lists: Ragged, out: Tensor) -> None:
    """out[b, : width] ← the mean of table[values of list b, first : first + width], 0 of an empty one."""
    _run(loops.pool, (len(lists.offsets) - 1,), table, table.stride(0), first, lists.values,
         lists.offsets, out, out.stride(0), WIDTH=width, PADDED=_padded(width))


class RowSums:
    """Adagrad on rows that may stand several times in a batch: their gradients are added up first.

    It keeps a sum for each number of the table, all 0 between two steps: a sort of the rows, the other
    way, is slower by far and has the GPU wait for its result.
    """

    def __init__(self, table: Tensor) -> None:
        self._sums = torch.zeros_like(table)
        self._stamps = torch.zeros(len(table), dtype=torch.int32, device=table.device)
        self._turn = torch.zeros(1, dtype=torch.int32, device=table.device)

    def adagrad(
        self, table: Tensor, squares: Tensor, rows: Tensor, gradients: Tensor, rate: float, l2: float,
        eps: float,
    ) -> None:
        """Row-wise Adagrad in place on `rows` (N,) with `gradients` (N, W); squares (rows, copies).

        A row of −1 is none.
        """
        count, whole, copies = len(rows), table.shape[1], squares.shape[1]
        grid, width = _programs(count, ENTRIES), whole // copies
        self._turn += 1
        _run(loops.add_up, grid, rows, gradients.contiguous(), self._sums, count, WIDTH=whole,
             PADDED=_padded(whole), ENTRIES=ENTRIES)
        _run(loops.adagrad, grid, rows, table, squares, self._sums, self._stamps, self._turn, count, rate,
             l2, eps, WIDTH=width, COPIES=copies, PADDED=_padded(width), ENTRIES=ENTRIES)


def masked(gradient: Tensor, activation: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """As `recmtl.kernels.masked`, of contiguous tensors."""
    rows, columns = gradient.shape
    out, bias = torch.empty_like(gradient), gradient.new_zeros(columns, dtype=torch.float32)
    grid = (*_programs(rows, LINES * TURNS), *_programs(columns, WIDE))
    _run(loops.mask, grid, gradient, activation, out, bias, scale, rows, columns, TURNS=TURNS,
         LINES=LINES, WIDE=WIDE)
    return out, bias


def mix(gates: Tensor, experts: Tensor) -> tuple[Tensor, ...]:
    """As `recmtl.kernels.mix`, of contiguous tensors."""
    rows, tasks, count = gates.shape
    width = experts.shape[1] // count
    out = experts.new_empty(tasks, rows, width)
    _run(loops.mix, _programs(rows, LINES), gates, experts, out, rows, width, TASKS=tasks, COUNT=count,
         PADDED=_padded(width), LINES=LINES)
    return out.unbind(0)


def unmix(
    gradients: Sequence[Tensor], gates: Tensor, experts: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """As `recmtl.kernels.unmix`, of contiguous tensors."""
    rows, tasks, count = gates.shape
    width = experts.shape[1] // count
    out, of_gates = torch.empty_like(experts), torch.empty_like(gates)
    bias = experts.new_zeros(experts.shape[1], dtype=torch.float32)
    _run(loops.unmix, (*_programs(rows, LINES * TURNS), count), torch.stack(list(gradients)), gates,
         experts, out, of_gates, bias, scale, rows, width, TASKS=tasks, COUNT=count,
         PADDED=_padded(width), TURNS=TURNS, LINES=LINES)
    return of_gates, out, bias


def _run(kernel: Any, grid: tuple[int, ...], first: Tensor, *others: object, **constants: int) -> None:
    if 0 not in grid:
        # Triton launches on the current GPU, whatever it is given.
        with torch.cuda.device_of(first):  # type: ignore[no-untyped-call]
            kernel[grid](first, *others, **constants)


def _programs(size: int, each: int) -> tuple[int]:
    return (-(-size // each),)


def _padded(width: int) -> int:
    return int(triton.next_power_of_2(width))
