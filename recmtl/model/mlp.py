"""A stack of linear layers with ReLU, and the tower that ends in a task's raw output."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from recmtl.heads import Numbers, Start
from recmtl.kernels import Layer
from recmtl.model.chain import chains, ended

ONE_NUMBER = Start()


class MLP(nn.ModuleList):
    """(B, inputs) → (B, hidden[-1]): linear, ReLU and dropout for each width in `hidden`."""

    def __init__(self, inputs: int, hidden: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__(linear(*widths) for widths in pairwise([inputs, *hidden]))
        self.dropout = dropout
        self.outputs = [inputs, *hidden][-1]

    def forward(self, x: Tensor) -> Tensor:
        return chains(x, self._chain, self.dropout * self.training)

    def ended(self, x: Tensor, head: nn.Linear) -> Tensor:
        """The same, and a layer without ReLU: in the precision of its weight, whatever the autocast."""
        return ended(x, self._chain, (head.weight, head.bias), self.dropout * self.training)

    @property
    def _chain(self) -> list[Layer]:
        return [[pair] for pair in self.layers]

    @property
    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """Weight (out, in) and bias (out,) of each layer."""
        return [(layer.get_parameter("weight"), layer.get_parameter("bias")) for layer in self]


class Tower(nn.Module):
    """From a task's view (B, inputs) to its raw output (B,) or (B, C), in fp32 whatever the autocast.

    The output is shift + scale · network, so that it starts where train says that a task's label lies.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self, inputs: int, hidden: Sequence[int], dropout: float = 0.0, start: Start = ONE_NUMBER
    ) -> None:
        super().__init__()
        self.hidden = MLP(inputs, hidden, dropout)
        self.head = linear(self.hidden.outputs, start.outputs or 1)
        self.register_buffer("shift", _constant(start.shift))
        self.register_buffer("scale", _constant(start.scale))
        self._single = start.outputs is None
        self.thresholds = Thresholds(start.thresholds) if start.thresholds else None

    def forward(self, view: Tensor) -> Tensor:
        raw = self.hidden.ended(view, self.head)
        raw = torch.addcmul(self.shift, self.scale, raw.squeeze(-1) if self._single else raw)
        return raw if self.thresholds is None else self.thresholds(raw)


class Thresholds(nn.Module):
    """z (B,) → z − θ_k (B, K), of learned thresholds θ_1 < … < θ_K: the first, and the gaps' logs."""

    def __init__(self, values: Sequence[float]) -> None:
        super().__init__()
        at = torch.tensor(values)
        self.first, self.gaps = nn.Parameter(at[:1]), nn.Parameter(at.diff().log())

    def forward(self, z: Tensor) -> Tensor:
        return z.unsqueeze(-1) - torch.cat([self.first, self.first + self.gaps.exp().cumsum(0)])


def _constant(value: Numbers) -> Tensor:
    return torch.tensor(value, dtype=torch.get_default_dtype())


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer for ReLU (He et al., 2015), bias 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer
