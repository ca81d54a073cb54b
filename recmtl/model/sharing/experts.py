"""Experts: networks of one shape, computed together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from recmtl.model.boxes import shape, stack, widths
from recmtl.model.chain import mixtures
from recmtl.model.mlp import MLP, linear
from recmtl.page import Block


class Experts(nn.Module):
    """K networks of linear and ReLU, mixed by gates: views, (B, T, K) → T times (B, hidden[-1]).

    `groups` says how many of the K read each of the views (B, inputs), which may be one and the same.
    """

    def __init__(
        self, inputs: int, hidden: Sequence[int], groups: Sequence[int], dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.groups, self.dropout, self.outputs = tuple(groups), dropout, hidden[-1]
        first = [linear(inputs, hidden[0]) for _ in range(sum(groups))]
        self.weight = nn.Parameter(torch.cat([layer.weight.detach() for layer in first]))
        self.bias = nn.Parameter(torch.zeros(len(first) * hidden[0]))
        self.above = nn.ModuleList(MLP(hidden[0], hidden[1:]) for _ in first)

    def forward(
        self, views: Sequence[Tensor], gates: Tensor, teaches: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """One view a group. `teaches`: as of `chain.mixtures`."""
        one = all(view is views[0] for view in views)
        x = views[0] if one else torch.cat(list(views), dim=1)
        layers = self._layers([sum(self.groups)] if one else self.groups)
        return mixtures(x, gates, layers, self.dropout * self.training, teaches)

    def drawn(self, read: Mapping[str, Sequence[Block]]) -> list[Block]:
        """The box of each of the K, one a group: `read` says whose a group is, and what it reads."""
        width, every = len(self.weight) // sum(self.groups), sum(p.numel() for p in self.parameters())
        layers = shape([self.weight.shape[1], width, *widths(self.above[0])[1:]])
        found = []
        for (owner, views), count in zip(read.items(), self.groups, strict=True):
            group = stack(owner, count, [layers], every // sum(self.groups), self.outputs)
            found += [replace(group, reads=tuple(views))] * count
        return found

    def _layers(self, groups: Sequence[int]) -> list[list[tuple[Tensor, Tensor]]]:
        """The first layer as one weight for experts that read one view, those above as one an expert."""
        width = len(self.weight) // sum(self.groups)
        sizes = [width * count for count in groups]
        first = zip(torch.split(self.weight, sizes), torch.split(self.bias, sizes), strict=True)
        above = zip(*(net.layers for net in self.above), strict=True)
        return [list(first), *(list(layer) for layer in above)]
