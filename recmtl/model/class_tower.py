"""The tower of a task with more classes than a step can compute: it ends in a table, a row a class."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recmtl.batch import Factored
from recmtl.heads import Start
from recmtl.kernels import Reads
from recmtl.model.embedding import Lookup
from recmtl.model.mlp import MLP


class ClassTower(nn.Module):
    """From a task's view (B, inputs) to its raw output (B, K) in factors, in fp32 whatever the autocast.

    A row of the table holds a class's weights and, last, its bias, where it begins: at the start's shift.
    Rows are looked up as an embedding's are, and have sparse gradients as those do.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], dropout: float, start: Start) -> None:
        super().__init__()
        self.hidden = MLP(inputs, hidden, dropout)
        first = torch.empty(start.outputs or 1, self.hidden.outputs + 1)
        nn.init.kaiming_uniform_(first[:, :-1], nonlinearity="relu")
        first[:, -1] = torch.tensor(start.shift)
        self.table = nn.Parameter(first)

    def forward(self, view: Tensor) -> Factored:
        hidden = self.hidden(view).to(self.table.dtype)
        return Factored(F.pad(hidden, (0, 1), value=1.0), self.table, self.rows)

    def rows(self, classes: Tensor) -> Tensor:
        """Of these classes (N,): (N, W)."""
        width = self.table.shape[1]
        nothing = self.table.new_empty(len(classes), 0)
        found: tuple[Tensor, ...] = Lookup.apply(  # type: ignore[no-untyped-call]
            [Reads(width, classes.unsqueeze(1), 0)], nothing, width, 1, self.table
        )
        return found[0]
