"""Customised gate control and progressive layered extraction: experts of a task beside those of all."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from recmtl.batch import Embedded, Gate, Shared
from recmtl.model.sharing.experts import Experts
from recmtl.model.sharing.gates import ALL, SoftGates, at_level
from recmtl.model.sharing.module import SharingModule, shared_view
from recmtl.model.sharing.options import Gated


class LayeredExtraction(SharingModule):
    """CGC in `levels` levels, each reading the views that the one below gives: PLE; CGC is one level.

    Reference: Tang et al., Progressive Layered Extraction (PLE), RecSys 2020, sections 4.1 and 4.2.
    """

    def __init__(
        self, inputs: int, tasks: Sequence[str], experts: tuple[int, int], levels: int, options: Gated
    ) -> None:
        super().__init__()
        self.outputs = options.hidden[-1]
        readers = [(*tasks, ALL)] * (levels - 1) + [tuple(tasks)]
        self.levels = nn.ModuleList(
            Extraction(self.outputs if level else inputs, tasks, experts, reader, options)
            for level, reader in enumerate(readers)
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


class Extraction(nn.Module):
    """A level: views[t] = Σ_k g_t(x_t)_k · f_k over the experts of t, which read x_t, and the shared.

    `readers` are those who get a view; ALL's, for the level above, mixes the experts of all tasks.
    """

    def __init__(
        self, inputs: int, tasks: Sequence[str], experts: tuple[int, int], readers: Sequence[str],
        options: Gated,
    ) -> None:
        super().__init__()
        self.sources, names, reach = expert_groups(tasks, experts)
        self.experts = Experts(inputs, options.hidden, list(self.sources.values()), options.dropout)
        self.gates = SoftGates(inputs, names, {reader: reach[reader] for reader in readers}, options)

    def forward(self, views: Mapping[str, Tensor]) -> Shared:
        gates = self.gates(views)
        mixed = self.experts([views[source] for source in self.sources], gates)
        named, penalties = self.gates.named(gates), self.gates.penalties(gates)
        return Shared(dict(zip(self.gates, mixed, strict=True)), named, penalties)


def expert_groups(
    tasks: Sequence[str], experts: tuple[int, int]
) -> tuple[dict[str, int], list[str], dict[str, list[int]]]:
    """Experts of each task and of all: how many read whose view, their names, and whom each gate reaches.

    `experts`: how many a task has, and how many all share.
    """
    own, shared = experts
    sources = {**dict.fromkeys(tasks, own), ALL: shared}
    names = [f"{source} {k}" for source, count in sources.items() for k in range(count)]
    total = len(names)
    common = list(range(total - shared, total))
    reach = {task: [*range(i * own, (i + 1) * own), *common] for i, task in enumerate(tasks)}
    return sources, names, {**reach, ALL: list(range(total))}
