"""The look-up: rows of one fused table a width become `Embedded`, with gradients on those rows only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from recmtl.batch import Batch, Columns, Embedded, Layout, Ragged
from recmtl.kernels import Reads, adds_up, look_up, merge
from recmtl.model.pooling import Pooling
from recmtl.model.pooling.lists import PooledLists
from recmtl.model.settings import EmbeddingConfig
from recmtl.model.sharing.options import ALL, Tables

# A look-up keeps the invariants; without a word on it, torch 2.11 warns that it does not check them.
_checks = torch.sparse.check_sparse_tensor_invariants
if not _checks.is_enabled():  # type: ignore[no-untyped-call]
    _checks.disable()  # type: ignore[no-untyped-call]


class Lookup(torch.autograd.Function):
    """Tables → one view (B, columns) a copy of the embeddings, in the precision of the layers above.

    Then the values of each list that is read apart, (V, width) a copy; its columns of a view stay unset.
    The gradient of a table is a sparse tensor of the rows that the batch reads, each once but where
    `kernels.adds_up` says otherwise. A dense one would touch the whole table, and torch's own sparse one
    be merged later at twice the cost.
    """

    @staticmethod
    def forward(
        ctx: Any, reads: Sequence[Reads], dense: Tensor, columns: int, copies: int, *tables: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.reads, ctx.shapes, ctx.copies = reads, [table.shape for table in tables], copies
        views = tuple(dense.new_empty(len(dense), columns, dtype=_dtype(*tables)) for _ in range(copies))
        for copy, view in enumerate(views):
            for table, read in zip(tables, reads, strict=True):
                look_up(table, read, copy * read.width, view)
            view[:, columns - dense.shape[1] :] = dense
        apart = [_singly(table, read, ragged, copy, views[0].dtype)
                 for table, read in zip(tables, reads, strict=True)
                 for ragged in read.apart for copy in range(copies)]
        return (*views, *apart)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        given = [gradient.contiguous() for gradient in gradients]
        views, apart = given[: ctx.copies], iter(given[ctx.copies :])
        found = []
        for reads, shape in zip(ctx.reads, ctx.shapes, strict=True):
            own = [list(islice(apart, ctx.copies)) for _ in reads.apart]
            rows, values = merge(views, reads, shape[0], apart=own)
            found.append(torch.sparse_coo_tensor(
                rows.unsqueeze(0), values, shape, is_coalesced=not adds_up(*views),
                check_invariants=False,
            ))
        return None, None, None, None, *found


def _singly(table: Tensor, read: Reads, ragged: Ragged, copy: int, dtype: torch.dtype) -> Tensor:
    """A list's values, (V, width): as a slot of V rows."""
    out = table.new_empty(len(ragged.values), read.width, dtype=dtype)
    look_up(table, Reads(read.width, ragged.values.unsqueeze(1), 0), copy * read.width, out)
    return out


def _dtype(*tables: Tensor) -> torch.dtype:
    kind = tables[0].device.type if tables else "cpu"
    if torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return tables[0].dtype if tables else torch.float32


class Stored(Protocol):
    """One fused table a width, in the layout's order; where their rows lie is their own affair."""

    def fetch(self, reads: Sequence[Reads]) -> tuple[Sequence[Reads], Sequence[Tensor]]:
        """What a batch reads of each table, and the rows that it is read from: (rows, copies · width)."""


class WholeTables(nn.ParameterDict):
    """Tables in the memory of this process."""

    def __init__(self, layout: Layout, copies: int, init: float) -> None:
        super().__init__({
            str(width): nn.Parameter(torch.randn(rows, width * copies).mul_(init))
            for width, rows in layout.tables.items()
        })

    def fetch(self, reads: Sequence[Reads]) -> tuple[Sequence[Reads], Sequence[Tensor]]:
        return reads, [self[str(read.width)] for read in reads]


MakeTables = Callable[[Layout, int, float], Stored]  # layout, copies, standard deviation of new rows


def unfilled_tables(layout: Layout, copies: int, init: float) -> Stored:
    """Tables whose rows a file will give: none are drawn, and no memory is taken."""
    with torch.device("meta"):
        return WholeTables(layout, copies, init)


@dataclass(frozen=True)
class Copies:
    """Whose embeddings a row of a table holds, side by side: one of each task, one for all, or both."""

    tasks: tuple[str, ...]
    tables: Tables

    @property
    def names(self) -> tuple[str, ...]:
        own = self.tasks if self.tables != "shared" else ()
        return (*own, ALL) if self.tables != "per_task" else own


class Embedding(nn.Module):
    """Batch → Embedded: a view of each copy `of` a value's embedding.

    Columns of a view: the slots by width, then the lists, each averaged or pooled as `pooling` says, then
    the dense columns.
    """

    def __init__(
        self, layout: Layout, of: Copies, config: EmbeddingConfig, pooling: Pooling,
        make_tables: MakeTables = WholeTables,
    ) -> None:
        super().__init__()
        self.layout, self.of, self.copies = layout, of, len(of.names)
        self.tables = make_tables(layout, self.copies, config.init)
        self.dropout = nn.Dropout(config.dropout)
        self.columns = Columns(_slices(layout))
        self.pooled = PooledLists(pooling, layout, self.columns, self.copies)
        for width in layout.tables:  # rows that keep what they are, (rows,) bool, where there are such
            self.register_buffer(f"frozen_{width}", None, persistent=False)

    @torch.no_grad()
    def start(self, rows: Tensor, values: Tensor, frozen: bool) -> None:
        """Let rows (N,) of the table of their width begin with values (N, width), in every copy.

        Those that are frozen take no gradient, and no decay.
        """
        width = values.shape[1]
        table = self.get_parameter(f"tables.{width}")
        table[rows] = values.repeat(1, self.copies)
        if frozen:
            kept: Tensor | None = getattr(self, f"frozen_{width}")
            kept = torch.zeros(len(table), dtype=torch.bool) if kept is None else kept
            kept[rows] = True
            setattr(self, f"frozen_{width}", kept)

    def forward(self, batch: Batch) -> Embedded:
        reads, tables = self.tables.fetch([self._reads(width, batch) for width in self.layout.tables])
        found: tuple[Tensor, ...] = Lookup.apply(  # type: ignore[no-untyped-call]
            reads, batch.dense, self.columns.width, self.copies, *tables
        )
        views, apart = found[: self.copies], found[self.copies :]
        if apart:
            views = self.pooled(views, apart, batch.lists)
        if self.training and self.dropout.p:
            looked_up = self.columns.width - batch.dense.shape[1]
            views = tuple(
                torch.cat([self.dropout(view[:, :looked_up]), view[:, looked_up:]], dim=1)
                for view in views
            )
        of = dict(zip(self.of.names, views, strict=True))
        return Embedded({task: of.get(task, views[-1]) for task in self.of.tasks}, of.get(ALL))

    def _reads(self, width: int, batch: Batch) -> Reads:
        places = [i for i, slot in enumerate(self.layout.slots) if slot.width == width]
        lists = [slot.name for slot in self.layout.lists if slot.width == width]
        averaged = [name for name in lists if name not in self.pooled.names]
        first = self.layout.slots[places[0]].name if places else None
        return Reads(
            width,
            batch.rows[:, places[0] : places[-1] + 1] if places else batch.rows[:, :0],
            self.columns.slices[first].start if first else 0,
            [(batch.lists[name], self.columns.slices[name].start) for name in averaged],
            [batch.lists[name] for name in lists if name in self.pooled.names],
            getattr(self, f"frozen_{width}"),
        )


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
