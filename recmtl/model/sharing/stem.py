"""Shared and task-specific embeddings: a task reads all experts, and teaches its own and the shared."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from recmtl.batch import Embedded, Shared
from recmtl.model.sharing.experts import Experts
from recmtl.model.sharing.gates import SoftGates
from recmtl.model.sharing.module import SharingModule, shared_view
from recmtl.model.sharing.options import ALL, Gated
from recmtl.model.sharing.ple import expert_groups
from recmtl.page import Block


class EmbeddingsOfTasks(SharingModule):
    """views[t] = Σ_k g_t(x_t + x)_k · f_k over the experts of every task s, reading x_s, and the shared.

    What comes from another task's experts comes without gradient: all forward, task-specific backward.

    Reference: Su et al., STEM: Unleashing the Power of Embeddings for Multi-Task Recommendation, AAAI
    2024, and the authors' code, which gives the gate the sum of the two views.
    """

    teaches: Tensor

    def __init__(self, inputs: int, sources: Mapping[str, int], options: Gated) -> None:
        super().__init__()
        self.sources = tuple(sources)
        self.experts = Experts(inputs, options.hidden, list(sources.values()), options.dropout)
        names, reach = expert_groups(sources)
        tasks = [source for source in sources if source != ALL]
        self.gates = SoftGates(inputs, names, dict.fromkeys(tasks, reach[ALL]), options)
        teaches = torch.tensor([[float(k in reach[task]) for k in reach[ALL]] for task in tasks])
        self.register_buffer("teaches", teaches, persistent=False)
        self.outputs = self.experts.outputs

    def forward(self, embedded: Embedded) -> Shared:
        views = {**embedded.views, ALL: shared_view(embedded)}
        gates = self.gates({task: views[task] + views[ALL] for task in self.gates})
        mixed = self.experts([views[source] for source in self.sources], gates, self.teaches)
        named, penalties = self.gates.named(gates), self.gates.penalties(gates)
        return Shared(dict(zip(self.gates, mixed, strict=True)), named, penalties)

    def drawn(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        experts = self.experts.drawn({source: [views[source]] for source in self.sources})
        gates = self.gates.drawn({task: [views[task], views[ALL]] for task in self.gates}, experts)
        return {task: replace(gate, lines=(*gate.lines, f"teaches {task} and {ALL}"))
                for task, gate in gates.items()}
