"""Mixture of experts that all tasks share: a gate per task, or one for all, weighs them row by row."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from recmtl.batch import Embedded, Shared
from recmtl.model.boxes import distinct
from recmtl.model.sharing.experts import Experts
from recmtl.model.sharing.gates import SoftGates, by_view
from recmtl.model.sharing.module import SharingModule
from recmtl.model.sharing.options import Gated
from recmtl.page import Block


class MultiGateExperts(SharingModule):
    """views[t] = Σ_k g_t(x)_k · f_k(x) with g_t(x) = softmax(W_t x).

    Reference: Ma et al., Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts, KDD 2018, equations 5 to 7.
    """

    def __init__(self, inputs: int, tasks: Sequence[str], experts: int, options: Gated) -> None:
        super().__init__()
        self.experts = Experts(inputs, options.hidden, [experts], options.dropout)
        names = [str(k) for k in range(experts)]
        self.gates = SoftGates(inputs, names, {task: range(experts) for task in tasks}, options)
        self.outputs = self.experts.outputs

    def forward(self, embedded: Embedded) -> Shared:
        gates = self.gates(embedded.views)
        views: dict[str, Tensor] = {}
        order = list(self.gates)
        by_task = dict(zip(order, gates.unbind(1), strict=True))
        for same in by_view(embedded.views, order):
            own = gates if same == order else torch.stack([by_task[task] for task in same], 1)
            views |= zip(same, self.experts([embedded.views[same[0]]], own), strict=True)
        named, penalties = self.gates.named(gates), self.gates.penalties(gates)
        return Shared({task: views[task] for task in order}, named, penalties)

    def drawn(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        experts = self.experts.drawn({"": distinct(views[task] for task in self.gates)})
        return self.gates.drawn({task: [views[task]] for task in self.gates}, experts)
