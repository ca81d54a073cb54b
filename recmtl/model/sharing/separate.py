"""A network of its own per task; whether the tables are shared is the embedding's affair."""

from collections.abc import Mapping, Sequence

from torch import nn

from recmtl.batch import Embedded, Shared
from recmtl.model.boxes import box
from recmtl.model.mlp import MLP
from recmtl.model.sharing.module import SharingModule
from recmtl.model.sharing.options import SharingConfig
from recmtl.page import Block


class SeparateNetworks(SharingModule):
    """views[t] = MLP_t(x_t)."""

    def __init__(self, inputs: int, tasks: Sequence[str], options: SharingConfig) -> None:
        super().__init__()
        networks = {task: MLP(inputs, options.hidden, options.dropout) for task in tasks}
        self.networks = nn.ModuleDict(networks)
        self.outputs = options.hidden[-1]

    def forward(self, embedded: Embedded) -> Shared:
        return Shared({task: net(embedded.views[task]) for task, net in self.networks.items()})

    def drawn(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        return {t: box(f"network of {t}", net, [views[t]]) for t, net in self.networks.items()}
