"""Mixture of experts with one gate: every tower reads the same view."""

from collections.abc import Mapping, Sequence

from recmtl.batch import Embedded, Shared
from recmtl.model.sharing.experts import Experts
from recmtl.model.sharing.gates import SoftGates
from recmtl.model.sharing.module import SharingModule, shared_view
from recmtl.model.sharing.options import ALL, Gated
from recmtl.page import Block


class OneGateExperts(SharingModule):
    """views[t] = Σ_k g(x)_k · f_k(x), the same for every t, with g(x) = softmax(W x).

    References: Jacobs et al., Adaptive Mixtures of Local Experts, 1991; as OMoE in Ma et al., KDD 2018,
    section 4.1.
    """

    def __init__(self, inputs: int, tasks: Sequence[str], experts: int, options: Gated) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.experts = Experts(inputs, options.hidden, [experts], options.dropout)
        self.gates = SoftGates(inputs, [str(k) for k in range(experts)], {ALL: range(experts)}, options)
        self.outputs = self.experts.outputs

    def forward(self, embedded: Embedded) -> Shared:
        x = shared_view(embedded)
        gates = self.gates({ALL: x})
        (view,) = self.experts([x], gates)
        named, penalties = self.gates.named(gates), self.gates.penalties(gates)
        return Shared(dict.fromkeys(self.tasks, view), named, penalties)

    def drawn(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        gates = self.gates.drawn({ALL: [views[ALL]]}, self.experts.drawn({"": [views[ALL]]}))
        return dict.fromkeys(self.tasks, gates[ALL])
