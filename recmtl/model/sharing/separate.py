"""A network of its own per task; whether the tables are shared is the embedding's affair."""

from collections.abc import Sequence

from torch import nn

from recmtl.batch import Embedded, Shared
from recmtl.model.mlp import MLP
from recmtl.model.sharing.module import SharingModule
from recmtl.model.sharing.options import SharingConfig


class SeparateNetworks(SharingModule):
    """views[t] = MLP_t(x_t)."""

    def __init__(self, inputs: int, tasks: Sequence[str], options: SharingConfig) -> None:
        super().__init__()
        networks = {task: MLP(inputs, options.hidden, options.dropout) for task in tasks}
        self.networks = nn.ModuleDict(networks)
        self.outputs = options.hidden[-1]

    def forward(self, embedded: Embedded) -> Shared:
        return Shared({task: net(embedded.views[task]) for task, net in self.networks.items()})
