"""Loops over the rows of a table of embeddings: look-up, the sum of gradients a row, their update."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from recmtl.batch import Ragged
from recmtl.kernels.library import SUFFIX, fits, on_gpu, run

ENTRY_BYTES = 16  # of `Entry` in loops.cpp


@dataclass(frozen=True)
class Reads:
    """What a batch reads of one table, and into which columns of a view it goes.

    Slots lie side by side from column `into`; each list is averaged into `width` columns of its own. The
    values of those in `apart` go into no view: their caller looks them up, as a slot of as many rows.
    Rows of the table that are `frozen` have no gradient.
    """

    width: int
    rows: Tensor  # (B, S)
    into: int
    lists: Sequence[tuple[Ragged, int]] = ()
    apart: Sequence[Ragged] = ()
    frozen: Tensor | None = None  # (rows of the table,) bool

    def parts(self) -> list[Tensor]:
        """All rows that are read: of the slots, of each list, of each list apart."""
        lists = [ragged for ragged, _ in self.lists]
        return [self.rows.reshape(-1), *(ragged.values for ragged in (*lists, *self.apart))]


def look_up(table: Tensor, reads: Reads, first: int, out: Tensor) -> None:
    """Fill a view (B, columns) with what a batch reads of the columns `first` to `first + width`."""
    (size, slots), width = reads.rows.shape, reads.width
    if fits(table, out):
        tail = SUFFIX[out.dtype]
        sizes = (table, table.shape[1], first, width)
        if slots:
            run(f"gather_{SUFFIX[reads.rows.dtype]}_{tail}", *sizes, reads.rows, reads.rows.stride(0),
                out[:, reads.into :], out.stride(0), size, slots)
        for ragged, into in reads.lists:
            run(f"pool_{SUFFIX[ragged.values.dtype]}_{tail}", *sizes, ragged.values, ragged.offsets,
                out[:, into:], out.stride(0), size)
        return
    if on_gpu(table, out):
        from recmtl.kernels import gpu

        gpu.gather(table, first, width, reads.rows, out[:, reads.into :])
        for ragged, into in reads.lists:
            gpu.pool(table, first, width, ragged, out[:, into:])
        return
    columns = table[:, first : first + width]
    if slots:
        found = columns.index_select(0, reads.rows.reshape(-1))
        out[:, reads.into : reads.into + slots * width] = found.view(size, slots * width)
    for ragged, into in reads.lists:
        out[:, into : into + width] = _mean(columns.index_select(0, ragged.values), ragged)


def merge(
    gradients: Sequence[Tensor], reads: Reads, table_rows: int, distinct: bool = False,
    apart: Sequence[Sequence[Tensor]] = (),
) -> tuple[Tensor, Tensor]:
    """The gradient of a table from those of its views, (B, columns) each: one view a copy.

    `apart` are those of the values of each list in `reads.apart`, (V, width) a copy.

    Returns the rows touched, (U,), each once and rising, and their gradients (U, copies · width) in fp32
    or more: the sum over everything that read the row. Where `adds_up` says so, and rows need not be
    `distinct`, one stands there as often as it was read, and −1 for values of a list beyond its end and
    for frozen rows, which are left out otherwise. They may lie in a given gradient's own memory.
    """
    rows, values = _merge(gradients, reads, table_rows, distinct, apart)
    if reads.frozen is None:
        return rows, values
    if adds_up(*gradients) and not distinct:  # of a fixed size, as a recorded step must have it
        return rows.masked_fill(reads.frozen[rows.clamp(min=0)], -1), values
    learns = ~reads.frozen[rows]
    return rows[learns], values[learns]


def _merge(
    gradients: Sequence[Tensor], reads: Reads, table_rows: int, distinct: bool,
    apart: Sequence[Sequence[Tensor]],
) -> tuple[Tensor, Tensor]:
    """`merge` of all rows, frozen or not."""
    singly = list(zip(*apart, strict=True)) or [()] * len(gradients)  # copy by copy
    if adds_up(*gradients) and not distinct:
        return _read_rows(reads), _all_values(gradients, reads, singly)
    rows = _joined(reads.parts(), dim=0).contiguous()  # a single slot among others is not in C order
    if fits(*gradients, *(own for copy in singly for own in copy)):
        return _merge_native(gradients, reads, rows, table_rows, singly)
    values = _all_values(gradients, reads, singly)
    ordered, order = rows.sort(stable=True)
    first = torch.ones_like(ordered, dtype=torch.bool)
    torch.ne(ordered[1:], ordered[:-1], out=first[1:])
    starts = first.nonzero().squeeze(1)
    # The sum over a sorted order is what an embedding bag computes, vectorised and on all cores.
    return ordered[starts].long(), F.embedding_bag(order, values, starts, mode="sum")


def adds_up(*gradients: Tensor) -> bool:
    """Whether an update takes gradients of a row that stands there several times (gpu.RowSums)."""
    return on_gpu(*gradients)


def adagrad(
    table: Tensor, squares: Tensor, rows: Tensor, gradients: Tensor, rate: float, l2: float, eps: float
) -> None:
    """Row-wise Adagrad in place on `rows` (U,) with `gradients` (U, W); squares (rows, copies)."""
    copies = squares.shape[1]
    if fits(table, squares, gradients):
        run("row_adagrad", table, squares, rows, gradients, len(rows), copies,
            table.shape[1] // copies, float(rate), float(l2), float(eps))
        return
    weights = table.index_select(0, rows)
    if l2:
        gradients = gradients.add(weights, alpha=l2)
    parts = gradients.view(len(rows), copies, table.shape[1] // copies)
    total = squares.index_select(0, rows) + parts.square().mean(dim=2)
    squares.index_copy_(0, rows, total)
    step = (parts * (rate / (total.sqrt() + eps)).unsqueeze(2)).view_as(weights)
    table.index_copy_(0, rows, weights - step)


def _merge_native(
    gradients: Sequence[Tensor], reads: Reads, rows: Tensor, table_rows: int,
    apart: Sequence[Sequence[Tensor]],
) -> tuple[Tensor, Tensor]:
    (size, slots), width, step = reads.rows.shape, reads.width, gradients[0].shape[1]
    count = len(rows)
    entries = torch.empty(count, ENTRY_BYTES, dtype=torch.uint8)
    run("entries_of_slots", entries, size, slots, width, step, reads.into)
    begin = size * slots
    for ragged, into in reads.lists:
        run("entries_of_list", entries[begin:], ragged.offsets, size, step, into)
        begin += len(ragged.values)
    given = list(gradients)
    if reads.apart:  # their gradients follow that of the view, and are read as those of slots
        given = [torch.cat([g.flatten() for g in (view, *own)])
                 for view, own in zip(gradients, apart, strict=True)]
        run("entries_of_slots", entries[begin:], count - begin, 1, width, width, size * step)
    order = torch.empty(count, dtype=torch.int32)
    starts, distinct = (torch.empty(count + 1, dtype=torch.int64) for _ in range(2))
    found = run(f"group_{SUFFIX[rows.dtype]}", rows, count, table_rows - 1, order, starts, distinct)
    out = torch.empty(found, len(gradients) * width)
    run(f"sum_groups_{SUFFIX[given[0].dtype]}", given, len(given), width, entries,
        order, starts, found, out)
    return distinct[:found], out


def _all_values(
    gradients: Sequence[Tensor], reads: Reads, apart: Sequence[Sequence[Tensor]]
) -> Tensor:
    copies = [_values(gradient, reads, own) for gradient, own in zip(gradients, apart, strict=True)]
    return _joined(copies, dim=1)


def _values(gradient: Tensor, reads: Reads, apart: Sequence[Tensor]) -> Tensor:
    """The gradient of each single look-up, (N, width), in fp32 or more, in the order of `Reads.parts`."""
    size, slots = reads.rows.shape
    of_slots = _wide(gradient[:, reads.into : reads.into + slots * reads.width])
    values = [of_slots.reshape(size * slots, reads.width)]
    for ragged, into in reads.lists:
        lengths = ragged.offsets.diff()
        mean = gradient[:, into : into + reads.width] / lengths.clamp(min=1).unsqueeze(1)
        values.append(_wide(mean.index_select(0, owners(ragged))))
    values += map(_wide, apart)
    return _joined(values, dim=0)


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    """One part alone as it is: each copy is a pass over all gradients."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def _wide(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _read_rows(reads: Reads) -> Tensor:
    """The rows that a batch reads, (N,), as `Reads.parts`, −1 for what lies beyond the ends of lists."""
    rows = [reads.rows.reshape(-1).long()]
    for ragged in (*(ragged for ragged, _ in reads.lists), *reads.apart):
        inside = torch.arange(len(ragged.values), device=ragged.values.device) < ragged.offsets[-1]
        rows.append(torch.where(inside, ragged.values.long(), -1))
    return torch.cat(rows)


def _mean(values: Tensor, ragged: Ragged) -> Tensor:
    """The mean of each list: (V, W) → (B, W); zeros for an empty list."""
    lengths = ragged.offsets.diff()
    total = values.new_zeros(len(lengths), values.shape[1]).index_add(0, owners(ragged), values)
    return total / lengths.clamp(min=1).unsqueeze(1)


def owners(ragged: Ragged) -> Tensor:
    """The impression that each value of a list belongs to, (V,): the last one's beyond the end of all."""
    places = torch.arange(len(ragged.values), device=ragged.values.device)
    return torch.searchsorted(ragged.offsets[1:-1].contiguous(), places, right=True)
