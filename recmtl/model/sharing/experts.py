"""Experts: networks of one shape over one input, computed together."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recmtl.model.chain import chains
from recmtl.model.mlp import MLP, linear


class Experts(nn.Module):
    """(B, inputs) → (B, K, hidden[-1]): K networks of linear and ReLU."""

    def __init__(
        self, inputs: int, hidden: Sequence[int], experts: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        first = [linear(inputs, hidden[0]) for _ in range(experts)]
        self.weight = nn.Parameter(torch.cat([layer.weight.detach() for layer in first]))
        self.bias = nn.Parameter(torch.zeros(experts * hidden[0]))
        self.dropout = dropout
        self.above = nn.ModuleList(MLP(hidden[0], hidden[1:]) for _ in range(experts))
        self.outputs = hidden[-1]

    def forward(self, x: Tensor) -> Tensor:
        above = zip(*(net.layers for net in self.above), strict=True)
        layers = [[(self.weight, self.bias)], *above]
        flat = chains(x, layers, len(self.above), self.dropout * self.training)
        return flat.view(len(x), len(self.above), self.outputs)


def mix(gates: Tensor, experts: Tensor) -> Tensor:
    """Σ_k gates[:, t, k] · experts[:, k] for every task t: (B, T, K), (B, K, H) → (B, T, H)."""
    return torch.bmm(gates.to(experts.dtype), experts)
