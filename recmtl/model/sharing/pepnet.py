"""A network per task whose inputs and hidden units are scaled by what is known of the row."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recmtl.batch import Columns, Embedded, Shared
from recmtl.model.boxes import box
from recmtl.model.chain import chains
from recmtl.model.mlp import MLP
from recmtl.model.sharing.module import SharingModule, shared_view
from recmtl.model.sharing.options import ALL, SharingConfig
from recmtl.page import Block


class PersonalisedNetworks(SharingModule):
    """O = δ ⊙ E with δ = gate(E[domain], sg E), then x_t ← relu(W_t (δ_t ⊙ x_t) + b_t) in every layer,
    x_t = O at first, with δ of all tasks in a layer = gate(E[prior], sg O), where sg passes no gradient.

    `names`: the features of the domain (EPNet), and those of user, item and author (PPNet). `gates`: the
    width of their hidden layers, and whether one more scales the views, x_t ← δ_t ⊙ x_t.

    Reference: Chang et al., PEPNet: Parameter and Embedding Personalized Network for Infusing with
    Personalized Prior Information, KDD 2023, section 3. There every layer up to the output is scaled:
    here by that last gate, under towers without a hidden layer.
    """

    domain: Tensor  # columns of a view
    prior: Tensor

    def __init__(
        self, columns: Columns, tasks: Sequence[str], names: tuple[Sequence[str], Sequence[str]],
        gates: tuple[int, bool], options: SharingConfig,
    ) -> None:
        super().__init__()
        hidden, output_gate = gates
        for part, features in zip(("domain", "prior"), names, strict=True):
            places = torch.tensor(columns.of(features), dtype=torch.long)
            self.register_buffer(part, places, persistent=False)
        width = columns.width
        self.embedding_gate = GateUnit(len(self.domain) + width, hidden, width)
        self.networks = nn.ModuleDict({task: MLP(width, options.hidden) for task in tasks})
        known, count = len(self.prior) + width, len(tasks)
        below = (width, *options.hidden[:-1])
        self.gates = nn.ModuleList(GateUnit(known, hidden, count * w) for w in below)
        of_output = GateUnit(known, hidden, count * options.hidden[-1]) if output_gate else None
        self.output_gate = of_output
        self.dropout, self.outputs = options.dropout, options.hidden[-1]

    def forward(self, embedded: Embedded) -> Shared:
        whole = shared_view(embedded)
        domain, prior = (whole.index_select(1, places) for places in (self.domain, self.prior))
        x = whole * self.embedding_gate(torch.cat([domain, whole.detach()], dim=1))
        known = torch.cat([prior, x.detach()], dim=1)
        h = x.repeat(1, len(self.networks))
        layers = zip(*(network.layers for network in self.networks.values()), strict=True)
        for gate, layer in zip(self.gates, layers, strict=True):
            h = chains(h * gate(known), [layer], self.dropout * self.training)
        if self.output_gate is not None:
            h = h * self.output_gate(known)
        return Shared(dict(zip(self.networks, h.chunk(len(self.networks), 1), strict=True)))

    def drawn(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        whole = views[ALL]
        title = f"gate: {len(self.domain)} columns of domain"
        domain = box(title, self.embedding_gate, [whole], role="gate")
        scaled = Block("scaled view", (f"{whole.columns:,} columns",), (whole,), (domain,), "view",
                       columns=whole.columns)
        found = dict.fromkeys(self.networks, scaled)
        read = f"{len(self.prior)} columns of prior"
        for n, unit in enumerate(self.gates):
            gate = box(f"gate {n + 1}: {read}", unit, [whole], [scaled], role="gate")
            found = {
                task: box(f"{task}, layer {n + 1}", [*network.children()][n], [found[task]], [gate])
                for task, network in self.networks.items()
            }
        if self.output_gate is None:
            return found
        gate = box(f"output gate: {read}", self.output_gate, [whole], [scaled], role="gate")
        return {
            task: Block(f"scaled view of {task}", (), (view,), (gate,), "view", columns=self.outputs)
            for task, view in found.items()
        }


class GateUnit(nn.Module):
    """2 σ(W' relu(W x + b) + b'): the paper's Gate NU."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.below = MLP(inputs, [hidden])
        self.above = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return 2.0 * F.sigmoid(self.above(self.below(x)))
