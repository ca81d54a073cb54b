"""Multi-gate mixture of experts: shared experts, and a gate per task that weighs them row by row."""

from collections.abc import Sequence

from torch import nn

from recmtl.batch import Embedded, Shared
from recmtl.model.sharing.experts import Experts, mix
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
        distinct = {id(view): view for view in embedded.views.values()}
        experts = {key: self.experts(view) for key, view in distinct.items()}  # (B, K, H) each
        gates = {t: gate(embedded.views[t]).float().softmax(-1) for t, gate in self.gates.items()}
        views = {t: mix(gate, experts[id(embedded.views[t])]) for t, gate in gates.items()}
        return Shared(views=views, gates=gates, details={"experts": next(iter(experts.values()))})
