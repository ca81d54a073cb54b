"""Cross layers: products of a view's columns, of one degree more in every layer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recmtl.batch import Columns
from recmtl.model.interaction.module import InteractionModule

NAME = "crosses of dcn_v2"  # of the columns that it adds


class CrossNetworks(InteractionModule):
    """view ← [view, cross(view)], or without `beside` cross(view), whose columns are the same features'.

    `rank` is that of the layers' matrices, full where it is None.

    Reference: Wang et al., DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale
    Learning to Rank Systems, WWW 2021, section 3.
    """

    def __init__(
        self, columns: Columns, views: Sequence[str], layers: int, rank: int | None, beside: bool
    ) -> None:
        super().__init__(columns.beside(NAME, columns.width) if beside else columns)
        self.beside = beside
        self.networks = nn.ModuleDict(
            {name: CrossNetwork(columns.width, layers, rank) for name in views}
        )

    def meet(self, name: str, view: Tensor) -> Tensor:
        crossed: Tensor = self.networks[name](view)
        return torch.cat([view, crossed], dim=1) if self.beside else crossed


class CrossNetwork(nn.ModuleList):
    """x ← x_0 ⊙ (W x + b) + x in every layer, W = U Vᵀ where it has a rank: equations 1 and 2."""

    def __init__(self, width: int, layers: int, rank: int | None) -> None:
        super().__init__(_matrix(width, rank) for _ in range(layers))

    def forward(self, first: Tensor) -> Tensor:
        x = first
        for layer in self:
            x = torch.addcmul(x, first, layer(x))
        return x


def _matrix(width: int, rank: int | None) -> nn.Module:
    """W x + b, of Glorot's variance, b = 0."""
    into = [] if rank is None else [nn.Linear(width, rank, bias=False)]
    out = nn.Linear(width if rank is None else rank, width)
    for layer in (*into, out):
        nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(out.bias)
    return nn.Sequential(*into, out)
