"""The processes that train one model together: what they tell each other, and nothing else.

Every process holds the whole model, but for sharded tables, and a part of each batch; sums over all of
them are the same on all, bit for bit, so that the copies of the model stay equal.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from recmtl.kernels import Reads, merge

PATIENCE = timedelta(minutes=10)  # for the slowest process, which may write a checkpoint


@dataclass(frozen=True)
class Group:
    """`size` processes, of which this is number `rank`; one process is a group, too."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def agreed(self, value: bool) -> bool:
        """What the first process holds true."""
        if self.size == 1:
            return value
        told = torch.tensor([value], dtype=torch.uint8, device=_device())
        dist.broadcast(told, 0)
        return bool(told)

    def tell(self, tensor: Tensor) -> None:
        """All have the first process's tensor, in place."""
        if self.size > 1:
            dist.broadcast(tensor, 0)

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def joined(self, tensor: Tensor) -> Tensor:
        """All processes' tensors (N_i, …), one after the other; they differ in length alone."""
        if self.size == 1:
            return tensor
        return torch.cat(self._gathered(tensor))

    def share_gradients(self, tables: Sequence[nn.Parameter], dense: Iterable[nn.Parameter]) -> None:
        """Every gradient becomes the sum over all processes; those of tables stay sparse."""
        if self.size == 1:
            return
        gradients = [p.grad for p in dense if p.grad is not None]
        if gradients:
            whole = self.total(torch.cat([gradient.flatten() for gradient in gradients]))
            pieces = torch.split(whole, [gradient.numel() for gradient in gradients])
            for gradient, piece in zip(gradients, pieces, strict=True):
                gradient.copy_(piece.view_as(gradient))
        for table in tables:
            if table.grad is not None:
                table.grad = self._summed(table.grad)

    def _summed(self, gradient: Tensor) -> Tensor:
        rows = self.joined(gradient._indices()[0])
        values = self.joined(gradient._values())
        reads = Reads(values.shape[1], rows.unsqueeze(1), 0)
        # Sorted, so that sums are the same on all: those of RowSums change from run to run.
        distinct, summed = merge([values], reads, gradient.shape[0], distinct=True)
        return torch.sparse_coo_tensor(
            distinct.unsqueeze(0), summed, gradient.shape, is_coalesced=True, check_invariants=False
        )

    def _gathered(self, tensor: Tensor) -> list[Tensor]:
        """Lengths first, then tensors filled up to the longest: collectives want one shape."""
        device = _device()
        length = torch.tensor([len(tensor)], device=device)
        lengths = [torch.empty_like(length) for _ in range(self.size)]
        dist.all_gather(lengths, length)
        most = max(int(n) for n in lengths)
        filled = tensor.new_zeros(most, *tensor.shape[1:], device=device)
        filled[: len(tensor)] = tensor
        found = [torch.empty_like(filled) for _ in range(self.size)]
        dist.all_gather(found, filled)
        pairs = zip(found, lengths, strict=True)
        return [piece[: int(n)].to(tensor.device) for piece, n in pairs]


ALONE = Group()


def join(device: str) -> Group:
    """The group that torchrun has started this process in; ALONE where it has not."""
    if "RANK" not in os.environ:
        return ALONE
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    return Group(dist.get_rank(), dist.get_world_size())


def _device() -> torch.device:
    """Where collectives take place: NCCL knows the GPU alone."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
