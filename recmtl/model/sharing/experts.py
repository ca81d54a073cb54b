"""Experts: networks of one shape over one input, computed together."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recmtl.model.mlp import MLP, linear


class Experts(nn.Module):
    """(B, inputs) → (B, K, hidden[-1]): K networks of linear and ReLU.

    The first layers of all experts are one wide product, which runs nearer the processor's rate
    than K narrow ones; the layers above are each expert's own.
    """

    def __init__(
        self, inputs: int, hidden: Sequence[int], experts: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        first = [linear(inputs, hidden[0]) for _ in range(experts)]
        self.weight = nn.Parameter(torch.cat([layer.weight.detach() for layer in first]))
        self.bias = nn.Parameter(torch.zeros(experts * hidden[0]))
        self.dropout = nn.Dropout(dropout)
        self.above = nn.ModuleList(MLP(hidden[0], hidden[1:], dropout) for _ in range(experts))
        self.outputs = hidden[-1]

    def forward(self, x: Tensor) -> Tensor:
        wide = self.dropout(F.linear(x, self.weight, self.bias).relu_())  # (B, K·hidden[0])
        own = [net(part) for net, part in zip(self.above, wide.chunk(len(self.above), -1), strict=True)]
        return torch.stack(own, dim=1)


def mix(gates: Tensor, experts: Tensor) -> Tensor:
    """Σ_k gates[:, t, k] · experts[:, k] for every task t: (B, T, K), (B, K, H) → (B, T, H)."""
    return torch.bmm(gates.to(experts.dtype), experts)
