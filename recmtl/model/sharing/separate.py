"""A network of its own per task; whether the tables are shared is the embedding's affair."""

from collections.abc import Mapping, Sequence

from torch import nn

from recmtl.batch import Embedded, Shared
from recmtl.model.boxes import box
from recmtl.model.chain import networks
from recmtl.model.mlp import MLP
from recmtl.model.sharing.module import SharingModule
from recmtl.model.sharing.options import SharingConfig
from recmtl.page import Block


class SeparateNetworks(SharingModule):
    """views[t] = MLP_t(x_t)."""

    def __init__(self, inputs: int, tasks: Sequence[str], options: SharingConfig) -> None:
        super().__init__()
        own = {task: MLP(inputs, options.hidden, options.dropout) for task in tasks}
        self.networks = nn.ModuleDict(own)
        self.dropout, self.outputs = options.dropout, options.hidden[-1]

    def forward(self, embedded: Embedded) -> Shared:
        views = [embedded.views[task] for task in self.networks]
        layers = [*zip(*(net.layers for net in self.networks.values()), strict=True)]
        outs = networks(views, layers, self.dropout * self.training)
        return Shared(dict(zip(self.networks, outs, strict=True)))

    def drawn(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        return {t: box(f"network of {t}", net, [views[t]]) for t, net in self.networks.items()}
