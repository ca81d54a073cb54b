"""The whole model on one screen: from a batch to an output.

batch → embedding → interaction → sharing → towers → relation → output
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recmtl.batch import Batch, Layout, Output
from recmtl.errors import RecmtlError
from recmtl.heads import Head, head_of
from recmtl.heads.head import OnTrain
from recmtl.model.class_tower import ClassTower
from recmtl.model.embedding import Copies, Embedding, MakeTables, WholeTables
from recmtl.model.interaction.module import InteractionModule
from recmtl.model.mlp import Tower
from recmtl.model.relation.derived import derivable, derive
from recmtl.model.relation.module import RelationModule
from recmtl.model.settings import EmbeddingConfig, ModelConfig
from recmtl.model.sharing.module import SharingModule
from recmtl.schema import Task


class MultiTask(nn.Module):
    """Any sharing under any relation; nothing here asks which. `views` makes those that it shares."""

    def __init__(
        self, views: tuple[Embedding, InteractionModule], sharing: SharingModule,
        towers: Mapping[str, nn.Module], relation: RelationModule, heads: Mapping[str, Head],
    ) -> None:
        super().__init__()
        self.embedding, self.interaction = views
        self.sharing = sharing
        self.towers = nn.ModuleDict(towers)
        self.relation, self.heads = relation, dict(heads)
        self.tasks = {name: head.task for name, head in heads.items()}
        self.kept = nn.ModuleDict({n: head.kept for n, head in heads.items() if head.kept is not None})

    def forward(self, batch: Batch) -> Output:
        embedded = self.embedding(batch)
        shared = self.sharing(self.interaction(embedded))
        views = self.relation.transfer(shared.views, batch)
        raw = {task: tower(views[task]) for task, tower in self.towers.items()}
        related = self.relation.relate(raw, views, batch)
        return Output(
            related.raw, shared.gates, related.weights,
            # No task's name has a dot: a penalty's is never taken for a task's.
            {f"{part}.{name}": penalty for part, given in (("sharing", shared), ("relation", related))
             for name, penalty in given.penalties.items()},
            embedded.distinct,
        )

    def with_bf16_layers(self) -> "MultiTask":
        """A copy over the same tables, for use under autocast: no weight is cast again at each batch.

        What makes the logits stays in fp32, as in training; so does what is small: a relation's part and
        what pools a list.
        """
        half = deepcopy(self, {id(self.embedding): self.embedding})
        for layers in (half.interaction, half.sharing, *(tower.hidden for tower in half.towers.values())):
            layers.to(torch.bfloat16)
        return half

    def scores(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Each task's score of its rows, (B,) or (B, C): probabilities, or in the label's unit.

        Tasks without a raw output are derived where a declared product allows it.
        """
        raw = output.raw
        scores = {t: self.heads[t].score(z, batch) for t, z in raw.items()}
        for task, identity in derivable(self.tasks, frozenset(raw)).items():
            given = {t: F.logsigmoid(raw[t]) for t in (identity.product, *identity.factors) if t in raw}
            scores[task] = derive(identity, given).exp()
        return {task: scores[task] for task in self.tasks if task in scores}


def build_model(
    config: ModelConfig, embedding: EmbeddingConfig, layout: Layout, tasks: Mapping[str, Task],
    known: Mapping[str, OnTrain] | None = None, make_tables: MakeTables = WholeTables,
) -> MultiTask:
    """A fresh model. `known` is what its heads have learned of train rows.

    Initialisation reads torch's global generator: seed it first (recmtl.seed.seed_everything).
    """
    names: Sequence[str] = config.towers_for(tasks)
    taken = [name for name in names if hasattr(nn.ModuleDict(), name)]
    if taken:
        raise RecmtlError("torch has a use of its own for this name", where=f"[tasks] {taken[0]}",
                          fix="give the task another name")
    refused = config.misreads(layout.widths, {slot.name for slot in layout.lists})
    if refused:
        raise RecmtlError(refused, where="[models]")
    copies = Copies(tuple(names), config.effective_tables)
    table = Embedding(layout, copies, embedding, config.pooling, make_tables)
    interaction = config.interaction.build(table.columns, layout.widths, copies.names)
    sharing = config.sharing.build(interaction.columns, names)
    relation = config.relation.build(sharing.outputs, tasks)
    heads: dict[str, Head] = {}
    towers: dict[str, nn.Module] = {}
    for name, task in tasks.items():
        heads[name] = head = head_of(task, config.loss.get(name), known[name].kept if known else None)
        head.kept = head.kept or head.keep(layout)
    for name in names:
        start = heads[name].start(known[name].mean, known[name].std) if known else heads[name].start()
        kind = ClassTower if start.factored else Tower
        towers[name] = kind(relation.outputs, config.towers.hidden, config.towers.dropout, start)
    return MultiTask((table, interaction), sharing, towers, relation, heads)


def parameter_count(model: MultiTask) -> dict[str, int]:
    """Parameters in tables, wherever they lie, and in the dense part."""
    embedding = model.embedding
    tables = embedding.copies * sum(width * rows for width, rows in embedding.layout.tables.items())
    own = {name: p.numel() for name, p in model.named_parameters() if "embedding.tables." not in name}
    classes = sum(size for name, size in own.items() if name.endswith(".table"))
    return {"tables": tables + classes, "dense": sum(own.values()) - classes}
