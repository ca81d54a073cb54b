"""Multi-gate mixture of experts: shared experts, and a gate per task that weighs them row by row."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recmtl.batch import Embedded, Shared
from recmtl.model.sharing.experts import Experts
from recmtl.model.sharing.module import SharingModule


class MultiGateExperts(SharingModule):
    """views[t] = Σ_k g_t(x)_k · f_k(x) with g_t(x) = softmax(W_t x).

    Reference: Ma et al., Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts, KDD 2018, equations 5 to 7.
    """

    def __init__(
        self, inputs: int, tasks: Sequence[str], hidden: Sequence[int], experts: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.experts = Experts(inputs, hidden, experts, dropout)
        self.gates = nn.ModuleDict({task: nn.Linear(inputs, experts, bias=False) for task in tasks})
        self.outputs = self.experts.outputs

    def forward(self, embedded: Embedded) -> Shared:
        gates: dict[str, Tensor] = {}
        views: dict[str, Tensor] = {}
        for same in _by_view(embedded.views, self.gates):
            x = embedded.views[same[0]]
            weights = torch.cat([self.gates[task].get_parameter("weight") for task in same])
            # impressions lie side by side, as products and softmax of few columns take many times longer
            logits = F.linear(weights, x).view(len(same), len(weights) // len(same), len(x))
            gate = logits.float().softmax(1).permute(2, 0, 1).contiguous()  # (B, T, K)
            gates |= zip(same, gate.unbind(1), strict=True)
            views |= zip(same, self.experts(x, gate), strict=True)
        order = tuple(self.gates)
        return Shared({task: views[task] for task in order}, {task: gates[task] for task in order})


def _by_view(views: Mapping[str, Tensor], tasks: Iterable[str]) -> list[list[str]]:
    """The tasks in groups that look at one tensor: all in one group where tables are shared."""
    groups: dict[int, list[str]] = {}
    for task in tasks:
        groups.setdefault(id(views[task]), []).append(task)
    return list(groups.values())
