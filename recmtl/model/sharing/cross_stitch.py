"""A network per task, whose activations are recombined across tasks after every layer."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from recmtl.batch import Embedded, Shared
from recmtl.model.boxes import box, parameters
from recmtl.model.chain import joined, mixtures
from recmtl.model.mlp import MLP
from recmtl.model.sharing.module import SharingModule
from recmtl.model.sharing.options import SharingConfig
from recmtl.page import Block


class StitchedNetworks(SharingModule):
    """x_t ← Σ_s a[t, s] · relu(W_s x_s + b_s) in every layer, with a matrix a (T, T) a layer.

    A task begins with the part `own` from itself and the rest in equal parts from the others.

    Reference: Misra et al., Cross-Stitch Networks for Multi-Task Learning, CVPR 2016, equation 1.
    """

    def __init__(
        self, inputs: int, tasks: Sequence[str], own: float, options: SharingConfig
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleDict({task: MLP(inputs, options.hidden) for task in tasks})
        count = len(tasks)
        start = torch.full((count, count), (1 - own) / max(count - 1, 1))
        start.fill_diagonal_(own if count > 1 else 1.0)
        self.stitches = nn.ParameterList(nn.Parameter(start.clone()) for _ in options.hidden)
        self.dropout, self.outputs = options.dropout, options.hidden[-1]

    def forward(self, embedded: Embedded) -> Shared:
        views = tuple(embedded.views[task] for task in self.networks)
        layers = zip(*(network.layers for network in self.networks.values()), strict=True)
        for stitch, of_tasks in zip(self.stitches, layers, strict=True):
            x, layer = joined(views, of_tasks)
            gates = stitch.expand(len(x), *stitch.shape).contiguous()
            views = mixtures(x, gates, [layer], self.dropout * self.training)
        return Shared(dict(zip(self.networks, views, strict=True)))

    def drawn(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        views = {task: views[task] for task in self.networks}
        for number, stitch in enumerate(self.stitches):
            layers = {
                task: box(f"{task}, layer {number + 1}", [*network.children()][number], [views[task]])
                for task, network in self.networks.items()
            }
            stitched = Block(
                "cross-stitch", ("each task a sum over all", parameters([stitch])),
                tuple(layers.values()), role="gate", columns=next(iter(layers.values())).columns,
            )
            views = dict.fromkeys(layers, stitched)
        return views
