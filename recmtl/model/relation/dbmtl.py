"""Deep Bayesian multi-target learning: a task's network reads what those of the tasks before it give."""

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter

import torch
from torch import Tensor, nn

from recmtl.batch import Batch
from recmtl.model.boxes import box
from recmtl.model.mlp import MLP
from recmtl.model.relation.module import RelationModule
from recmtl.page import Block


class BayesianNetwork(RelationModule):
    """z_t = MLP_t(view of t beside z_s for each s before t), in place of t's view: P(y_t | x, y_<t).

    Tasks with none before them have a network of their view alone; tasks that `before` names nowhere keep
    their view. An MLP is `hidden` layers and one as wide as a view, each with ReLU.

    Reference: Wang et al., Deep Bayesian Multi-Target Learning for Recommender Systems, 2019
    (arXiv 1902.09154): a Bayesian network of targets whose links are hidden layers.
    """

    def __init__(
        self, inputs: int, before: Mapping[str, Sequence[str]], hidden: Sequence[int] = ()
    ) -> None:
        super().__init__(inputs)
        self.before = {t: tuple(before.get(t, ())) for t in TopologicalSorter(before).static_order()}
        self.networks = nn.ModuleDict({
            task: MLP(inputs * (1 + len(earlier)), [*hidden, inputs])
            for task, earlier in self.before.items()
        })

    def transfer(self, views: Mapping[str, Tensor], batch: Batch) -> Mapping[str, Tensor]:
        handed = dict(views)
        for task, earlier in self.before.items():  # each after those before it
            read = torch.cat([views[task], *(handed[s] for s in earlier)], dim=1)
            handed[task] = self.networks[task](read)
        return handed

    def drawn_views(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        handed = dict(views)
        for task, earlier in self.before.items():
            read = [views[task], *(handed[s] for s in earlier)]
            handed[task] = box(f"{task} after {', '.join(earlier)}" if earlier else f"{task} comes first",
                               self.networks[task], read, role="relation")
        return handed
