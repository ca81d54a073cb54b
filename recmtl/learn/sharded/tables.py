"""Tables of a model, sharded: the rows of a batch are fetched, and look-ups read those."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from recmtl.batch import Layout, Ragged
from recmtl.errors import RecmtlError
from recmtl.kernels import Reads
from recmtl.learn.settings import TrainConfig
from recmtl.learn.sharded.scattered import BLOCK_ROWS

if TYPE_CHECKING:
    from recmtl.learn.sharded.collection import Collection


class ShardedTables(nn.Module):
    """One fused table a width, no process holding all of its rows; takes the place of `WholeTables`.

    Each process asks for the distinct rows of its part of a batch and sends their gradients back; who
    holds a row adds them up and updates it in the backward pass, by RowAdagrad's formula. So there are no
    parameters here, and every pass is made by all processes together. First weights are those that
    `WholeTables` would draw.
    """

    def __init__(
        self, layout: Layout, copies: int, init: float, config: TrainConfig, device: str
    ) -> None:
        super().__init__()
        cards = range(torch.cuda.device_count())
        with torch.random.fork_rng(cards):  # TorchRec draws weights of its own
            self._collections = _sharded(layout, copies, config, torch.device(device))
        self.optimizer = FusedAdagrad(self)
        for collection in self._collections.values():
            rows, columns = collection.weights.shape
            for begin, end in _drawn_together(rows):
                collection.weights.put(begin, torch.randn(end - begin, columns).mul_(init))

    def fetch(self, reads: Sequence[Reads]) -> tuple[list[Reads], list[Tensor]]:
        """The rows that a batch reads, (U, copies · width) a table, and the reads, renumbered to them."""
        found = [self._fetch(read) for read in reads]
        return [read for read, _ in found], [rows for _, rows in found]

    def _fetch(self, read: Reads) -> tuple[Reads, Tensor]:
        parts = read.parts()
        distinct, places = torch.unique(torch.cat(parts), return_inverse=True)
        rows = DenseGradient.apply(self._collections[read.width](distinct))  # type: ignore[no-untyped-call]
        of_slots, *of_lists = places.split([len(part) for part in parts])
        count = len(read.lists)
        lists = [
            (Ragged(values, ragged.offsets), into)
            for values, (ragged, into) in zip(of_lists[:count], read.lists, strict=True)
        ]
        apart = [Ragged(values, ragged.offsets)
                 for values, ragged in zip(of_lists[count:], read.apart, strict=True)]
        return replace(read, rows=of_slots.view(read.rows.shape), lists=lists, apart=apart), rows

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        for width, collection in self._collections.items():
            destination[f"{prefix}{width}"] = collection.weights


class DenseGradient(torch.autograd.Function):
    """The same tensor. A look-up gives its gradient as sparse, with every row: it becomes dense."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        return rows.view_as(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.to_dense()


class FusedAdagrad(torch.optim.Optimizer):
    """The accumulators of sharded tables, for checkpoints; the backward pass takes the steps."""

    def __init__(self, tables: ShardedTables) -> None:
        stand_in = nn.Parameter(torch.empty(0))
        super().__init__([stand_in], {})
        for width, collection in tables._collections.items():
            self.state[stand_in][f"squares_{width}"] = collection.squares

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Nothing is left to do."""


def fused(model: nn.Module) -> list[torch.optim.Optimizer]:
    """The optimizer of a model's tables where they are sharded."""
    tables = model.get_submodule("embedding.tables")
    return [tables.optimizer] if isinstance(tables, ShardedTables) else []


def _sharded(
    layout: Layout, copies: int, config: TrainConfig, device: torch.device
) -> "dict[int, Collection]":
    try:
        from recmtl.learn.sharded.collection import shard
    except ModuleNotFoundError as error:
        raise RecmtlError(
            "TorchRec is not installed", where="train.sharded_tables", found=str(error),
            fix="install it as docs/operations.md says, or leave sharded_tables out",
        ) from error
    return shard(layout, copies, config, device)


def _drawn_together(rows: int) -> list[tuple[int, int]]:
    """Blocks of rows, none a small rest, of which torch draws the same numbers as of all at once."""
    begins = range(0, max(rows - BLOCK_ROWS, 1), BLOCK_ROWS)
    return list(zip(begins, [*begins[1:], rows], strict=True))
