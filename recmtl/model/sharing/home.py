"""A hierarchy of gated experts: those of groups of tasks first, then those of tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recmtl.batch import Embedded, Shared
from recmtl.model.boxes import parameters, shape, stack, widths
from recmtl.model.chain import chains
from recmtl.model.mlp import MLP
from recmtl.model.sharing.gates import SoftGates, at_level
from recmtl.model.sharing.module import SharingModule, shared_view
from recmtl.model.sharing.options import ALL, Gated
from recmtl.page import Block

Sizes = tuple[int, int, int | None]  # as `HierarchicalExperts` takes them
MOMENTUM = 0.1  # of a batch in the running statistics


class HierarchicalExperts(SharingModule):
    """Two levels of experts; a gate reaches those of its own source, of its group and of all.

    First a view z_c of each group c from the experts of c and of all, and z of all from every expert;
    then that of task t from its own experts and those of its group, which read z_c, and those of all,
    which read z. Gates read the batch, then z_c beside z. Each view has its own experts on top, by the
    weight of a self gate.

    `groups` maps a group to its tasks. `sizes`: experts of each source; of a feature gate the pairs of
    matrices and their rank, None for the inputs' columns / pairs.

    Reference: Wang et al., HoME: Hierarchy of Multi-Gate Experts for Multi-Task Learning at Kuaishou,
    KDD 2025, section 3, which mixes several pairs.
    """

    def __init__(
        self, inputs: int, groups: Mapping[str, Sequence[str]], sizes: Sizes, options: Gated
    ) -> None:
        super().__init__()
        self.group = {task: name for name, tasks in groups.items() for task in tasks}
        self.outputs = options.hidden[-1]
        first = {**{name: [name, ALL] for name in groups}, ALL: [ALL, *groups]}
        then = {task: [task, name, ALL] for task, name in self.group.items()}
        self.of_groups = Level((inputs, inputs), first, sizes, options)
        self.of_tasks = Level((self.outputs, 2 * self.outputs), then, sizes, options)

    def forward(self, embedded: Embedded) -> Shared:
        x = shared_view(embedded)
        same = dict.fromkeys(self.of_groups.gates, x)
        meta = self.of_groups(same, same)
        own = {task: meta.views[name] for task, name in self.group.items()}
        beside = {name: torch.cat([view, meta.views[ALL]], 1) for name, view in meta.views.items()}
        known = {task: beside[name] for task, name in self.group.items()}
        found = self.of_tasks({**meta.views, **own}, known)
        penalties = {n: p + meta.penalties[n] for n, p in found.penalties.items()}
        return Shared(found.views, {**at_level(meta.gates, 1), **found.gates}, penalties)

    def drawn(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        same = dict.fromkeys(self.of_groups.gates, views[ALL])
        meta = self.of_groups.drawn(same, {reader: [view] for reader, view in same.items()})
        own = {task: meta[name] for task, name in self.group.items()}
        known = {task: [meta[name], meta[ALL]] for task, name in self.group.items()}
        return self.of_tasks.drawn({**meta, **own}, known)


class Level(nn.Module):
    """views[r] = Σ_k (g_r + s_r)_k · f_k(x_k): soft gates over what is in reach, self gates over the own.

    `widths`: columns of what experts and what gates read. `reach`: reader → the sources of its experts,
    its own first. A self gate is a sigmoid of one expert, a softmax over several.
    """

    def __init__(
        self, widths: tuple[int, int], reach: Mapping[str, Sequence[str]], sizes: Sizes,
        options: Gated,
    ) -> None:
        super().__init__()
        self.sources = list(dict.fromkeys(source for sources in reach.values() for source in sources))
        self.count, pairs, rank = sizes
        places = {s: range(i * self.count, (i + 1) * self.count) for i, s in enumerate(self.sources)}
        names = [f"{source} {k}" for source in self.sources for k in range(self.count)]
        self.features = FeatureGates(widths[0], len(names), pairs, rank)
        self.experts = NormalisedExperts(widths[0], len(names), options)
        within = {r: [k for source in sources for k in places[source]] for r, sources in reach.items()}
        self.gates = SoftGates(widths[1], names, within, options)
        self.selves = nn.ModuleDict({reader: nn.Linear(widths[1], self.count) for reader in reach})
        self.own = [places[sources[0]].start for sources in reach.values()]

    def forward(self, read: Mapping[str, Tensor], readers: Mapping[str, Tensor]) -> Shared:
        """What each source's experts and each reader's gates read, (B, W) → a view a reader."""
        inputs = [read[source] for source in self.sources for _ in range(self.count)]
        experts = self.experts(self.features(inputs))  # (B, K, H)
        gates = self.gates(readers)
        mixed = torch.bmm((gates + self._selves(readers, gates)).to(experts.dtype), experts)
        named, penalties = self.gates.named(gates), self.gates.penalties(gates)
        return Shared(dict(zip(self.gates, mixed.unbind(1), strict=True)), named, penalties)

    def drawn(
        self, read: Mapping[str, Block], readers: Mapping[str, Sequence[Block]]
    ) -> Mapping[str, Block]:
        total, count = [*self.features.parameters(), *self.experts.parameters()], self.count
        each = sum(weight.numel() for weight in total) // len(self.sources) // count
        sizes = [*widths(self.experts.below[0])[:-1], *widths(self.experts.last[0])]
        lines = ["gated inputs, normalised", shape(sizes)]
        experts = {
            s: replace(stack(s, count, lines, each, sizes[-1]), reads=(read[s],)) for s in self.sources
        }
        gates = self.gates.drawn(readers, [experts[s] for s in self.sources for _ in range(count)])
        return {
            reader: replace(gate, lines=(f"{gate.lines[0]}, self gate", parameters(
                [*self.gates[reader].parameters(), *self.selves[reader].parameters()])))
            for reader, gate in gates.items()
        }

    def _selves(self, readers: Mapping[str, Tensor], gates: Tensor) -> Tensor:
        """(B, R, K), 0 for experts that are not a reader's own."""
        found = []
        for (reader, layer), first in zip(self.selves.items(), self.own, strict=True):
            logits = layer(readers[reader]).to(gates.dtype)
            own = logits.sigmoid() if self.count == 1 else logits.softmax(1)
            found.append(F.pad(own, (first, gates.shape[2] - first - self.count)))
        return torch.stack(found, dim=1)


class FeatureGates(nn.Module):
    """x ⊙ Σ_l m_k(x)_l · 2 σ(A_kl B_kl x) for each expert k: its own part of what it reads.

    A and B are of low rank, without more the inputs' columns / pairs. m_k = softmax(M_k x) mixes an
    expert's `pairs` of them; it is 1 where there is one.
    """

    def __init__(self, inputs: int, experts: int, pairs: int, rank: int | None) -> None:
        super().__init__()
        self.pairs = pairs
        low, count = rank or max(inputs // pairs, 1), experts * pairs
        self.into = nn.ModuleList(nn.Linear(inputs, low, bias=False) for _ in range(count))
        self.out = nn.ModuleList(nn.Linear(low, inputs, bias=False) for _ in range(count))
        mixed = experts if pairs > 1 else 0
        self.mix = nn.ModuleList(nn.Linear(inputs, pairs, bias=False) for _ in range(mixed))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """(B, W) of each expert → (B, K · W)."""
        return torch.cat([x * self._gate(k, x) for k, x in enumerate(inputs)], dim=1)

    def _gate(self, expert: int, x: Tensor) -> Tensor:
        own = slice(expert * self.pairs, (expert + 1) * self.pairs)
        gates: list[Tensor] = [2.0 * out(into(x)).sigmoid()
                               for into, out in zip(self.into[own], self.out[own], strict=True)]
        if len(gates) == 1:
            return gates[0]
        shares = self.mix[expert](x).softmax(1).to(x.dtype).split(1, dim=1)
        return torch.stack([share * gate for share, gate in zip(shares, gates, strict=True)]).sum(0)


class NormalisedExperts(nn.Module):
    """swish(norm(W_k h_k)), h_k from the hidden layers before: (B, K · inputs) → (B, K, hidden[-1]).

    norm is a batch normalisation. Each process of a group takes its own rows' statistics.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, inputs: int, experts: int, options: Gated) -> None:
        super().__init__()
        *below, width = options.hidden
        self.below = nn.ModuleList(MLP(inputs, below) for _ in range(experts))
        top = [inputs, *below][-1]
        self.last = nn.ModuleList(nn.Linear(top, width, bias=False) for _ in range(experts))
        self.scale = nn.Parameter(torch.ones(experts * width))
        self.shift = nn.Parameter(torch.zeros(experts * width))
        self.register_buffer("mean", torch.zeros(experts * width))
        self.register_buffer("variance", torch.ones(experts * width))
        self.dropout = options.dropout

    def forward(self, x: Tensor) -> Tensor:
        layers = [list(layer) for layer in zip(*(net.layers for net in self.below), strict=True)]
        h = chains(x, layers, self.dropout * self.training) if layers else x
        parts = zip(self.last, h.chunk(len(self.last), 1), strict=True)
        z = torch.cat([last(part) for last, part in parts], dim=1)
        batch = self.training and len(z) > 1  # of one row there is no variance
        z = F.batch_norm(z, self.mean, self.variance, self.scale, self.shift, batch, MOMENTUM)
        return F.silu(z).view(len(z), len(self.last), z.shape[1] // len(self.last))
