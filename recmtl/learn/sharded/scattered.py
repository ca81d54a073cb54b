"""One matrix of which each process of a group holds a part: its rows by blocks, in and out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor

BLOCK_ROWS = 1 << 16  # that the first process holds for a moment beside its own


@dataclass(frozen=True)
class Piece:
    """What process `rank` holds: `rows` from `first` on, of some of the columns."""

    rank: int
    first: int
    rows: int
    columns: slice
    held: Tensor | None  # (rows, columns) where this process is that one

    def within(self, begin: int, end: int) -> tuple[int, int]:
        """Its rows among those from `begin` to `end`; none where the second is not above the first."""
        return max(begin, self.first), min(end, self.first + self.rows)


class Sliceable(Protocol):
    """Rows that are read where they are asked for, as those of a file."""

    def __getitem__(self, rows: slice, /) -> Tensor: ...


class Scattered:
    """A matrix (rows, columns) in fp32, lying in pieces on the processes of a group."""

    dtype = torch.float32

    def __init__(self, shape: tuple[int, int], pieces: Sequence[Piece], device: torch.device) -> None:
        self.shape, self._pieces, self._device = torch.Size(shape), pieces, device

    def blocks(self) -> Iterator[Tensor]:
        """All rows in order on the first process, none on the others; all do this together."""
        for begin in range(0, self.shape[0], BLOCK_ROWS):
            end = min(begin + BLOCK_ROWS, self.shape[0])
            if dist.get_rank() == 0:
                yield self._received(begin, end)
            else:
                self._send(begin, end)

    def put(self, begin: int, block: Tensor) -> None:
        """Take what this process holds of the rows from `begin` on, (n, columns)."""
        for piece in self._pieces:
            first, last = piece.within(begin, begin + len(block))
            if piece.held is not None and first < last:
                into = piece.held[first - piece.first : last - piece.first]
                into.copy_(block[first - begin : last - begin, piece.columns])

    def fill(self, whole: Sliceable) -> None:
        """Take this process's part; only those rows are read."""
        for piece in self._pieces:
            if piece.held is None:
                continue
            for begin in range(piece.first, piece.first + piece.rows, BLOCK_ROWS):
                first, last = piece.within(begin, begin + BLOCK_ROWS)
                rows = whole[first:last]
                piece.held[first - piece.first : last - piece.first].copy_(rows[:, piece.columns])

    def _received(self, begin: int, end: int) -> Tensor:
        block = torch.empty(end - begin, self.shape[1])
        for piece in self._pieces:
            first, last = piece.within(begin, end)
            if first < last:
                part = block[first - begin : last - begin, piece.columns]
                if piece.held is not None:
                    part.copy_(piece.held[first - piece.first : last - piece.first])
                else:
                    sent = torch.empty(part.shape, device=self._device)
                    dist.recv(sent, piece.rank)
                    part.copy_(sent)
        return block

    def _send(self, begin: int, end: int) -> None:
        for piece in self._pieces:
            first, last = piece.within(begin, end)
            if piece.held is not None and first < last:
                dist.send(piece.held[first - piece.first : last - piece.first].contiguous(), 0)
