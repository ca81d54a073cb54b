"""Experts: networks of one shape over one input, computed together."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recmtl.model.chain import mixtures
from recmtl.model.mlp import MLP, linear


class Experts(nn.Module):
    """K networks of linear and ReLU, mixed by gates: (B, inputs), (B, T, K) → T times (B, hidden[-1])."""

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

    def forward(self, x: Tensor, gates: Tensor) -> tuple[Tensor, ...]:
        return mixtures(x, gates, self.chained, self.dropout * self.training)

    @property
    def chained(self) -> list[list[tuple[Tensor, Tensor]]]:
        """The layers: the first as one, those above one an expert."""
        above = zip(*(net.layers for net in self.above), strict=True)
        return [[(self.weight, self.bias)], *(list(layer) for layer in above)]
