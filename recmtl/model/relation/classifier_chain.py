"""A classifier chain: a task's raw output is shifted by the outcome of the task before it."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from recmtl.batch import Batch, Related
from recmtl.model.relation.module import RelationModule
from recmtl.page import Block
from recmtl.schema import Task


class ClassifierChain(RelationModule):
    """raw_t + w_t · y_{t−1}, w one number a task.

    In training y is the label where it is known. Elsewhere, and always in scoring, it is σ of what the
    task before has got by this rule; in training without gradient, as it stands in for a label.

    References: Read et al., Classifier Chains for Multi-label Classification, ECML PKDD 2009; Wang et
    al., Deep Bayesian Multi-Target Learning for Recommender Systems, 2019, whose networks of a task read
    what tasks before it have come to.
    """

    def __init__(self, inputs: int, chain: Sequence[str], tasks: Mapping[str, Task]) -> None:
        super().__init__(inputs)
        self.chain = tuple(chain)
        self.labels = {task: tasks[task].label for task in chain}
        self.weight = nn.Parameter(torch.zeros(len(chain) - 1))  # at first independent

    def relate(self, raw: Mapping[str, Tensor], views: Mapping[str, Tensor], batch: Batch) -> Related:
        related = dict(raw)
        for (before, task), weight in zip(pairwise(self.chain), self.weight, strict=True):
            outcome = related[before].sigmoid()
            if self.training:
                label = batch.labels[self.labels[before]]
                outcome = torch.where(label.isnan(), outcome.detach(), label)
            related[task] = raw[task] + weight * outcome
        return Related(related)

    def drawn_outputs(
        self, raw: Mapping[str, Block], views: Mapping[str, Block]
    ) -> Mapping[str, Block]:
        related = dict(raw)
        for before, task in pairwise(self.chain):
            lines, read = (f"raw of {task} + w · {before}", "1 parameter"), (raw[task], related[before])
            related[task] = Block(f"{before} → {task}", lines, read, role="relation")
        return related
