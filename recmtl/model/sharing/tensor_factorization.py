"""A network per task, whose weights are factors in common and a few numbers of the task's own."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recmtl.batch import Embedded, Shared
from recmtl.kernels import Layer
from recmtl.model.boxes import distinct, parameters, shape
from recmtl.model.chain import chains, joined
from recmtl.model.sharing.module import SharingModule
from recmtl.model.sharing.options import SharingConfig
from recmtl.page import Block


class FactorizedNetworks(SharingModule):
    """In every layer x_t ← relu(W_t x_t + b_t) with W_t = O (Σ_c V[t, c] S_c) I, a Tucker decomposition.

    I (rank, inputs), O (outputs, rank) and the core S (task_rank, rank, rank) are those of all tasks.

    References: Yang and Hospedales, Deep Multi-Task Representation Learning: A Tensor Factorisation
    Approach, ICLR 2017; as the baseline Tensor-Factorization in Ma et al., KDD 2018, section 6.
    """

    def __init__(
        self, inputs: int, tasks: Sequence[str], rank: int, task_rank: int, options: SharingConfig
    ) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        sizes = len(tasks), task_rank, rank
        widths = pairwise([inputs, *options.hidden])
        self.layers = nn.ModuleList(Factors(below, above, sizes) for below, above in widths)
        self.dropout, self.outputs = options.dropout, options.hidden[-1]

    def forward(self, embedded: Embedded) -> Shared:
        views: Sequence[Tensor] = [embedded.views[task] for task in self.tasks]
        for factors in self.layers:
            x, layer = joined(*factors(views))
            views = chains(x, [layer], self.dropout * self.training).chunk(len(self.tasks), 1)
        return Shared(dict(zip(self.tasks, views, strict=True)))

    def drawn(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        read = distinct(views[task] for task in self.tasks)
        for number, factors in enumerate(self.layers, 1):
            assert isinstance(factors, Factors)
            sizes = [factors.into.shape[1], len(factors.into), len(factors.out)]
            of_task = f"{len(factors.core)} numbers a task"
            lines = (shape(sizes), of_task, parameters(factors.parameters()))
            read = (Block(f"factors, layer {number}", lines, read, columns=sizes[-1]),)
        return dict.fromkeys(self.tasks, read[0])


class Factors(nn.Module):
    """One layer's factors; `sizes`: tasks, task_rank, rank. W_t starts with He's variance, 2 / inputs."""

    def __init__(self, inputs: int, outputs: int, sizes: tuple[int, int, int]) -> None:
        super().__init__()
        tasks, task_rank, rank = sizes
        self.into = nn.Parameter(torch.randn(rank, inputs) / inputs**0.5)
        self.core = nn.Parameter(torch.randn(task_rank, rank, rank) / rank**0.5)
        self.mix = nn.Parameter(torch.randn(tasks, task_rank) / task_rank**0.5)
        self.out = nn.Parameter(torch.randn(outputs, rank) * (2 / rank) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(tasks, outputs))

    def forward(self, views: Sequence[Tensor]) -> tuple[list[Tensor], Layer]:
        """I x_t of each task, one tensor for views that are one; O Σ_c V[t, c] S_c and b_t."""
        distinct = {id(x): x for x in views}
        reduced = {key: F.linear(x, self.into) for key, x in distinct.items()}
        cores = torch.einsum("tc,cij->tij", self.mix, self.core)
        weights = list(zip(self.out @ cores, self.bias, strict=True))
        return [reduced[id(x)] for x in views], weights
