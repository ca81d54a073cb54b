"""Customised gate control and progressive layered extraction: experts of a task beside those of all."""

from collections.abc import Mapping

from torch import Tensor, nn

from recmtl.batch import Embedded, Gate, Shared
from recmtl.model.sharing.experts import Experts
from recmtl.model.sharing.gates import SoftGates, at_level
from recmtl.model.sharing.module import SharingModule, shared_view
from recmtl.model.sharing.options import ALL, Gated
from recmtl.page import Block


class LayeredExtraction(SharingModule):
    """CGC in `levels` levels, each reading the views that the one below gives: PLE; CGC is one level.

    `sources`: how many experts read the view of each task, and how many that of ALL.

    Reference: Tang et al., Progressive Layered Extraction (PLE), RecSys 2020, sections 4.1 and 4.2.
    """

    def __init__(
        self, inputs: int, sources: Mapping[str, int], levels: int, options: Gated
    ) -> None:
        super().__init__()
        self.outputs = options.hidden[-1]
        self.levels = nn.ModuleList(
            Extraction(self.outputs if level else inputs, sources, level == levels - 1, options)
            for level in range(levels)
        )

    def forward(self, embedded: Embedded) -> Shared:
        shared = Shared({**embedded.views, ALL: shared_view(embedded)})
        gates: dict[str, Gate] = {}
        penalties: dict[str, Tensor] = {}
        for number, level in enumerate(self.levels, 1):
            shared = level(shared.views)
            gates |= shared.gates if number == len(self.levels) else at_level(shared.gates, number)
            penalties = {n: p + penalties.get(n, 0.0) for n, p in shared.penalties.items()}
        return Shared(shared.views, gates, penalties)

    def drawn(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        for level in self.levels:
            assert isinstance(level, Extraction)
            views = level.drawn(views)
        return views


class Extraction(nn.Module):
    """A level: views[t] = Σ_k g_t(x_t)_k · f_k over the experts of t, which read x_t, and the shared.

    Below the `last` there is a view of ALL, too, which mixes the experts of all tasks.
    """

    def __init__(self, inputs: int, sources: Mapping[str, int], last: bool, options: Gated) -> None:
        super().__init__()
        self.sources = tuple(sources)
        self.experts = Experts(inputs, options.hidden, list(sources.values()), options.dropout)
        names, reach = expert_groups(sources)
        readers = {reader: ks for reader, ks in reach.items() if not (last and reader == ALL)}
        self.gates = SoftGates(inputs, names, readers, options)

    def forward(self, views: Mapping[str, Tensor]) -> Shared:
        gates = self.gates(views)
        mixed = self.experts([views[source] for source in self.sources], gates)
        named, penalties = self.gates.named(gates), self.gates.penalties(gates)
        return Shared(dict(zip(self.gates, mixed, strict=True)), named, penalties)

    def drawn(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        experts = self.experts.drawn({source: [views[source]] for source in self.sources})
        return self.gates.drawn({reader: [views[reader]] for reader in self.gates}, experts)


def expert_groups(sources: Mapping[str, int]) -> tuple[list[str], dict[str, list[int]]]:
    """The experts' names, and whom each gate reaches: a task's its own and ALL's, ALL's every one."""
    owners = [source for source, count in sources.items() for _ in range(count)]
    names = [f"{source} {k}" for source, count in sources.items() for k in range(count)]
    reach = {
        reader: [k for k, owner in enumerate(owners) if reader == ALL or owner in (reader, ALL)]
        for reader in sources
    }
    return names, reach
