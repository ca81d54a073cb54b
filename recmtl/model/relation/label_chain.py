"""A chain of labels: a task's tower reads an embedding of the label of the task before it."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recmtl.batch import Batch, Related
from recmtl.model.boxes import box, parameters
from recmtl.model.mlp import Tower
from recmtl.model.relation.module import RelationModule, mean_of_rows
from recmtl.page import Block
from recmtl.schema import Task


class LabelChain(RelationModule):
    """z_t = view_t + (1 − y) E_t[0] + y E_t[1], y being the label of t−1 and E_t (2, H) its embedding.

    Added, as a tower's first layer makes the same of it as of columns beside the view. y is σ of a guess:
    a tower of the relation's own over z_{t−1}, as towers run side by side. `forced`, it is the label in
    training, where that is known. The guess is learned by a penalty, Σ_t of the mean over rows of its log
    loss, by their weights, 0 where the label is not known; it gives views no gradient, and gets none of
    the tasks after it.

    References: Read et al., Classifier Chains for Multi-label Classification, ECML PKDD 2009; labels in
    training and predictions after it: Williams and Zipser, Neural Computation 1989.
    """

    def __init__(
        self, inputs: int, chain: Sequence[str], tasks: Mapping[str, Task], hidden: Sequence[int],
        forced: bool = False,
    ) -> None:
        super().__init__(inputs)
        self.chain, self.forced = tuple(chain), forced
        self.labels = {task: tasks[task].labels[0] for task in chain[:-1]}
        self.guess = nn.ModuleDict({task: Tower(inputs, hidden) for task in chain[:-1]})
        self.embedding = nn.Parameter(torch.zeros(len(chain) - 1, 2, inputs))  # at first independent

    def transfer(self, views: Mapping[str, Tensor], batch: Batch) -> Mapping[str, Tensor]:
        handed = dict(views)
        for (before, task), (no, yes) in zip(pairwise(self.chain), self.embedding, strict=True):
            outcome = self.guess[before](handed[before].detach()).sigmoid().detach()
            if self.forced and self.training:
                label = batch.labels[self.labels[before]]
                outcome = torch.where(label.isnan(), outcome, label)
            handed[task] = views[task] + torch.lerp(no, yes, outcome.unsqueeze(1))
        return handed

    def relate(self, raw: Mapping[str, Tensor], views: Mapping[str, Tensor], batch: Batch) -> Related:
        if not self.training:
            return Related(raw)
        losses = []
        for task, name in self.labels.items():
            label = batch.labels[name]
            known, guess = ~label.isnan(), self.guess[task](views[task].detach())
            error = F.binary_cross_entropy_with_logits(
                guess, torch.where(known, label, 0.0), reduction="none"
            )
            losses.append(mean_of_rows(torch.where(known, batch.weight, 0.0) * error))
        return Related(raw, penalties={"guess": torch.stack(losses).sum()})

    def drawn_views(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        handed = dict(views)
        for (before, task), rows in zip(pairwise(self.chain), self.embedding, strict=True):
            guess = box(f"guess of {before}", self.guess[before], (), [handed[before]], role="relation")
            handed[task] = Block(
                f"view of {task} + label of {before}", ("as it is embedded", parameters([rows])),
                (views[task],), (guess,), role="relation", columns=self.outputs,
            )
        return handed

    def drawn_outputs(
        self, raw: Mapping[str, Block], views: Mapping[str, Block]
    ) -> Mapping[str, Block]:
        return raw  # the guesses' losses are in training alone
