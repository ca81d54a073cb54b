"""Adaptive information transfer: a task's tower reads what the task before it hands on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from recmtl.batch import Batch, Related
from recmtl.model.boxes import box
from recmtl.model.mlp import MLP
from recmtl.model.relation.module import RelationModule, mean_of_rows
from recmtl.page import Block


class InformationTransfer(RelationModule):
    """z_t = attention over relu(W z_{t−1} + b), the information unit, and q_t; z of the first task is q.

    q are the sharing's views, z what the towers read. In training the calibrator adds
    weight · mean over rows of Σ_t max(ŷ_t − ŷ_{t−1}, 0), rows by their weights: a conversion is no
    likelier than its click.

    Reference: Xi et al., Modeling the Sequential Dependence among Audience Multi-step Conversions with
    Multi-task Learning in Targeted Display Advertising, KDD 2021.
    """

    def __init__(self, inputs: int, chain: Sequence[str], calibrator: float) -> None:
        super().__init__(inputs)
        self.chain, self.calibrator = tuple(chain), calibrator
        self.information = nn.ModuleDict({task: MLP(inputs, [inputs]) for task in chain[:-1]})
        self.attention = nn.ModuleDict({task: Attention(inputs) for task in chain[1:]})

    def transfer(self, views: Mapping[str, Tensor], batch: Batch) -> Mapping[str, Tensor]:
        handed = dict(views)
        for before, task in pairwise(self.chain):
            information = self.information[before](handed[before])
            handed[task] = self.attention[task](information, views[task])
        return handed

    def relate(self, raw: Mapping[str, Tensor], views: Mapping[str, Tensor], batch: Batch) -> Related:
        if not self.training:
            return Related(raw)
        probabilities = torch.stack([raw[task].sigmoid() for task in self.chain])
        above = probabilities.diff(dim=0).clamp(min=0.0).sum(0)
        calibrator = self.calibrator * mean_of_rows(batch.weight * above)
        return Related(raw, penalties={"calibrator": calibrator})

    def drawn_views(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        handed = dict(views)
        for before, task in pairwise(self.chain):
            unit = self.information[before]
            information = box(f"information of {before}", unit, [handed[before]], role="relation")
            attention = box(f"attention of {task}", self.attention[task], (), role="relation")
            handed[task] = replace(
                attention, lines=(f"over {before} and {task}", attention.lines[-1]),
                reads=(information, views[task]), columns=self.outputs,
            )
        return handed

    def drawn_outputs(
        self, raw: Mapping[str, Block], views: Mapping[str, Block]
    ) -> Mapping[str, Block]:
        return raw  # the calibrator is in the loss alone


class Attention(nn.Module):
    """Σ_u softmax_u(⟨Q u, K u⟩ / √H) · V u over two inputs u (B, H), row by row: (B, H)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.maps = nn.Linear(width, 3 * width, bias=False)  # Q, K and V as one product

    def forward(self, *inputs: Tensor) -> Tensor:
        query, key, value = self.maps(torch.stack(inputs, dim=1)).chunk(3, dim=-1)  # (B, 2, H) each
        scores = (query * key).sum(-1) / math.sqrt(query.shape[-1])
        attended: Tensor = (scores.softmax(dim=1).unsqueeze(-1) * value).sum(1)
        return attended
