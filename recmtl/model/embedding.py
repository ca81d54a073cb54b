"""The look-up: rows of one fused table a width become `Embedded`, with gradients on those rows only."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recmtl.batch import Batch, Embedded, Layout, Ragged
from recmtl.model.settings import EmbeddingConfig


class Lookup(torch.autograd.Function):
    """table[rows], whose gradient is a coalesced sparse tensor: each row touched stands in it once.

    One sort of the rows and one pass over their gradients, where a dense gradient would touch the
    whole table and torch's own sparse one would be merged later at twice the cost.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.table_size = table.shape
        return table.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        distinct, merged = merge(rows, gradient)
        sparse = torch.sparse_coo_tensor(
            distinct.long().unsqueeze(0), merged, ctx.table_size,
            is_coalesced=True, check_invariants=False,
        )
        return sparse, None


def merge(rows: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (N,) with values (N, W) → each row once, rising, and the sum of its values.

    The sum over a sorted order is what an embedding bag computes, vectorised and on all cores.
    """
    ordered, order = rows.sort(stable=True)
    first = torch.ones_like(ordered, dtype=torch.bool)
    torch.ne(ordered[1:], ordered[:-1], out=first[1:])
    starts = first.nonzero().squeeze(1)
    merged = F.embedding_bag(order, values, starts, mode="sum")
    return ordered[starts], merged


class Embedding(nn.Module):
    """Batch → Embedded. With `per_task`, a row of a table holds one embedding per task, side by side.

    Columns of a view: the slots by width, then the lists (each averaged), then the dense columns.
    """

    def __init__(
        self, layout: Layout, tasks: Sequence[str], config: EmbeddingConfig, per_task: bool
    ) -> None:
        super().__init__()
        self.layout, self.tasks = layout, tuple(tasks)
        self.copies = len(self.tasks) if per_task else 1
        self.tables = nn.ParameterDict({
            str(width): nn.Parameter(torch.randn(rows, width * self.copies) * config.init)
            for width, rows in layout.tables.items()
        })
        self.dropout = nn.Dropout(config.dropout)
        self.slices = _slices(layout)
        self.outputs = max((s.stop for s in self.slices.values()), default=0)

    def forward(self, batch: Batch) -> Embedded:
        found = [self._look_up(int(width), batch) for width in self.tables]
        if self.copies == 1:
            x = self._join([f.squeeze(-2) for slots, _ in found for f in slots],
                           [f.squeeze(-2) for _, lists in found for f in lists], batch)
            return Embedded(dict.fromkeys(self.tasks, x), self.slices)
        views = {
            task: self._join([f[..., i, :] for slots, _ in found for f in slots],
                             [f[..., i, :] for _, lists in found for f in lists], batch)
            for i, task in enumerate(self.tasks)
        }
        return Embedded(views, self.slices)

    def _look_up(self, width: int, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
        """Slots (B, S, copies, width) and lists (B, copies, width) of one table, in one gather."""
        columns = [i for i, s in enumerate(self.layout.slots) if s.width == width]
        lists = [s.name for s in self.layout.lists if s.width == width]
        size, table = len(batch), self.tables[str(width)]
        rows = batch.rows[:, columns[0]:columns[-1] + 1] if columns else batch.rows[:, :0]
        parts = [rows.reshape(-1), *(batch.lists[name].values for name in lists)]
        flat: Tensor = Lookup.apply(  # type: ignore[no-untyped-call]
            table, torch.cat(parts) if lists else parts[0]
        )
        pieces = torch.split(flat, [len(p) for p in parts])
        slots = pieces[0].view(size, len(columns), self.copies, width)
        pooled = [
            mean_pool(piece, batch.lists[name]).view(size, self.copies, width)
            for name, piece in zip(lists, pieces[1:], strict=True)
        ]
        return ([slots] if columns else []), pooled

    def _join(self, slots: list[Tensor], lists: list[Tensor], batch: Batch) -> Tensor:
        """All columns side by side, in the precision that the layers above compute in: cast once."""
        embedded = [s.flatten(1) for s in slots] + lists
        parts = [self.dropout(torch.cat(embedded, dim=1))] if embedded else []
        if batch.dense.shape[1] or not parts:
            parts.append(batch.dense)
        return torch.cat([part.to(_dtype(part)) for part in parts], dim=1)


def _dtype(x: Tensor) -> torch.dtype:
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32


def mean_pool(values: Tensor, ragged: Ragged) -> Tensor:
    """The mean of each list: (V, W) → (B, W); zeros for an empty list."""
    lengths = ragged.offsets.diff()
    owner = torch.repeat_interleave(
        torch.arange(len(lengths), device=values.device), lengths, output_size=len(values)
    )
    total = values.new_zeros(len(lengths), values.shape[1]).index_add(0, owner, values)
    return total / lengths.clamp(min=1).unsqueeze(1)


def _slices(layout: Layout) -> dict[str, slice]:
    widths = sorted(layout.tables)
    order = [(s.name, s.width) for s in layout.slots]
    order += [(s.name, s.width) for w in widths for s in layout.lists if s.width == w]
    order += list(layout.dense.items())
    slices, start = {}, 0
    for name, width in order:
        slices[name] = slice(start, start + width)
        start += width
    return slices
