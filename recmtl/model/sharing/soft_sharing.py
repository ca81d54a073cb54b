"""A network per task, held together by a distance between them that is added to the loss."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from recmtl.batch import Embedded, Shared
from recmtl.model.boxes import box
from recmtl.model.mlp import MLP
from recmtl.model.sharing.module import SharingModule
from recmtl.model.sharing.options import SharingConfig
from recmtl.page import Block

Distance = Literal["l2", "trace_norm"]


class TiedNetworks(SharingModule):
    """views[t] = MLP_t(x_t), and strength · distance of the networks' weights, in training.

    l2: Σ over layers and pairs of tasks of |W_s − W_t|². trace_norm: Σ over layers of the sum of singular
    values of the matrix whose columns are the tasks' weights, which is least where few directions span
    all of them (the last-axis flattening of the weights as one tensor).

    References: Duong et al., Low Resource Dependency Parsing, ACL 2015, section 4; Yang and Hospedales,
    Trace Norm Regularised Deep Multi-Task Learning, ICLR workshop 2017.
    """

    def __init__(
        self, inputs: int, tasks: Sequence[str], distance: Distance, strength: float,
        options: SharingConfig,
    ) -> None:
        super().__init__()
        networks = {task: MLP(inputs, options.hidden, options.dropout) for task in tasks}
        self.networks = nn.ModuleDict(networks)
        self.distance = DISTANCES[distance]
        self.recordable = distance == "l2"  # on a GPU singular values are waited for
        self.strength, self.outputs = strength, options.hidden[-1]

    def forward(self, embedded: Embedded) -> Shared:
        views = {task: net(embedded.views[task]) for task, net in self.networks.items()}
        return Shared(views, penalties={"distance": self._penalty()} if self.training else {})

    def drawn(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        networks = {t: box(f"network of {t}", net, [views[t]]) for t, net in self.networks.items()}
        tied = f"+ {self.strength:g} · distance from the others"
        return {task: replace(net, lines=(*net.lines, tied)) for task, net in networks.items()}

    def _penalty(self) -> Tensor:
        layers = zip(*(net.layers for net in self.networks.values()), strict=True)
        weights = [torch.stack([weight.flatten() for weight, _ in layer]) for layer in layers]
        return self.strength * torch.stack([self.distance(layer) for layer in weights]).sum()


def squared_distances(weights: Tensor) -> Tensor:
    """Σ_{s<t} |w_s − w_t|² of the rows of (T, D): T times their squared distances from their mean."""
    return len(weights) * (weights - weights.mean(0)).square().sum()


def trace_norm(weights: Tensor) -> Tensor:
    """The sum of the singular values of (T, D)."""
    found: Tensor = torch.linalg.svdvals(weights).sum()
    return found


DISTANCES = {"l2": squared_distances, "trace_norm": trace_norm}
