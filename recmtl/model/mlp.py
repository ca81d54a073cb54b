"""A stack of linear layers with ReLU, and the tower that ends in a task's raw output."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from recmtl.heads import Numbers, Start
from recmtl.model.chain import chains

ONE_NUMBER = Start()


class MLP(nn.ModuleList):
    """(B, inputs) → (B, hidden[-1]): linear, ReLU and dropout for each width in `hidden`."""

    def __init__(self, inputs: int, hidden: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__(linear(*widths) for widths in pairwise([inputs, *hidden]))
        self.dropout = dropout
        self.outputs = [inputs, *hidden][-1]

    def forward(self, x: Tensor) -> Tensor:
        if not len(self):
            return x
        return chains(x, [[pair] for pair in self.layers], dropout=self.dropout * self.training)

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

    def forward(self, view: Tensor) -> Tensor:
        hidden = self.hidden(view)
        with torch.autocast(hidden.device.type, enabled=False):
            raw: Tensor = self.head(hidden.to(self.head.weight.dtype))
        return self.shift + self.scale * (raw.squeeze(-1) if self._single else raw)


def _constant(value: Numbers) -> Tensor:
    return torch.tensor(value, dtype=torch.get_default_dtype())


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer for ReLU (He et al., 2015), bias 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    return layer
