"""What a new part touches: a file of its own and a line in a union. Both are written in this test."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

from recmtl.batch import Batch, Columns, Embedded, Gate, Related, Shared
from recmtl.learn.group import ALONE
from recmtl.learn.optim import build_optimizers
from recmtl.learn.settings import TrainConfig
from recmtl.learn.step import Objective, make_step, parameters
from recmtl.learn.tasks import statistics
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.model.multitask import MultiTask, build_model
from recmtl.model.relation import Independent, Product, RelationConfig, Tasks
from recmtl.model.relation.module import RelationModule
from recmtl.model.sharing import MMoE, Sharing
from recmtl.model.sharing.module import SharingModule
from recmtl.model.sharing.options import SharingConfig, Tables
from recmtl.suite.made_up import LAYOUT, TASKS, make_batch

LOSS = {"ctr": 1.0, "cvr": 1.0}


class Sum(SharingConfig):
    """A sharing: what a task's own tables say and what those of all say, weighed by one number."""

    kind: Literal["sum"] = "sum"
    tables: ClassVar[tuple[Tables, ...]] = ("both",)
    of: str = "item"

    def build(self, columns: Columns, tasks: Sequence[str]) -> SharingModule:
        return Summed(columns, tasks, self.of)


class Summed(SharingModule):
    def __init__(self, columns: Columns, tasks: Sequence[str], of: str) -> None:
        super().__init__()
        self.part = columns.slices[of]
        self.outputs = self.part.stop - self.part.start
        self.own = nn.ParameterDict({task: nn.Parameter(torch.zeros(2)) for task in tasks})

    def forward(self, embedded: Embedded) -> Shared:
        assert embedded.shared is not None
        views, gates = {}, {}
        for task, weight in self.own.items():
            gate = weight.softmax(0).expand(len(embedded.shared), 2)
            own, common = embedded.views[task][:, self.part], embedded.shared[:, self.part]
            views[task] = gate[:, :1] * own + gate[:, 1:] * common
            gates[task] = Gate(gate, (task, "shared"))
        size = torch.stack([weight.square().sum() for weight in self.own.values()]).sum()
        return Shared(views, gates, {"size": 0.5 * size})


class Told(RelationConfig):
    """A relation: the second task's tower also reads the first task's view, and its rows are weighed."""

    kind: Literal["told"] = "told"

    def build(self, inputs: int, tasks: Tasks) -> RelationModule:
        return Telling(inputs)


class Telling(RelationModule):
    def __init__(self, inputs: int) -> None:
        super().__init__(inputs)
        self.outputs = 2 * inputs

    def transfer(self, views: Mapping[str, Tensor], batch: Batch) -> Mapping[str, Tensor]:
        return {task: torch.cat([view, views["ctr"]], dim=1) for task, view in views.items()}

    def relate(self, raw: Mapping[str, Tensor], views: Mapping[str, Tensor], batch: Batch) -> Related:
        gap = (raw["cvr"] - raw["ctr"])[batch.labels["click"] == 1].square().mean()
        return Related(raw, {"cvr": 1.0 + raw["ctr"].detach().sigmoid()}, {"gap": gap})


class WithNewParts(ModelConfig):
    """The two lines of registration."""

    sharing: Annotated[Sharing | Sum, Field(discriminator="kind")]  # type: ignore[assignment]
    relation: Annotated[Independent | Product | Told, Field(discriminator="kind")] = (  # type: ignore[assignment]
        Independent()
    )


def built(**parts: object) -> MultiTask:
    torch.manual_seed(0)
    config = WithNewParts.model_validate({"towers": {"hidden": [5]}, "loss": LOSS, **parts})
    return build_model(config, EmbeddingConfig(width=4, init=0.5), LAYOUT, TASKS)


def trained(model: MultiTask, steps: int) -> list[dict[str, float]]:
    batch = make_batch(64)
    known = statistics(TASKS, {n: t.numpy() for n, t in batch.labels.items()}, np.ones(64))
    config = TrainConfig(monitor="auc_valid/ctr", learning_rate=0.05)
    optimizers = build_optimizers(*parameters(model), config)
    step = make_step(model, Objective(TASKS, LOSS, known), optimizers, config, ALONE)
    return [{name: float(loss) for name, loss in step(batch).items()} for _ in range(steps)]


def test_a_new_sharing_and_a_new_relation_train_together() -> None:
    model = built(sharing={"kind": "sum"}, relation={"kind": "told"})
    assert [t.shape for t in model.embedding.tables.values()] == [(32, 4 * 3), (16, 8 * 3)]
    losses = trained(model, 60)
    assert set(losses[0]) == {"ctr", "cvr", "sharing.size", "relation.gap"}
    assert losses[0]["sharing.size"] == 0.0 < losses[-1]["sharing.size"]
    assert all(losses[-1][name] < losses[0][name] for name in ("ctr", "cvr", "relation.gap"))


def test_a_relation_s_weights_of_rows_take_the_place_of_the_share() -> None:
    model, batch = built(sharing={"kind": "sum"}, relation={"kind": "told"}), make_batch(64)
    known = statistics(TASKS, {n: t.numpy() for n, t in batch.labels.items()}, np.ones(64))
    output = model(batch)
    found = Objective(TASKS, LOSS, known).losses(output, batch)["cvr"]
    logit, label = output.raw["cvr"].detach().double(), batch.labels["converted"].double()
    each = -label * logit.sigmoid().log() - (1 - label) * (1 - logit.sigmoid()).log()
    weighed = each * (1 + output.raw["ctr"].detach().double().sigmoid()) * batch.labels["click"]
    assert found.item() == pytest.approx(float(weighed.sum() / 64), rel=1e-5)


def test_a_gate_goes_through_a_model_as_the_sharing_made_it() -> None:
    gates = built(sharing={"kind": "sum"})(make_batch(7)).gates
    assert {task: gate.experts for task, gate in gates.items()} == {
        "ctr": ("ctr", "shared"), "cvr": ("cvr", "shared"),
    }


def test_tables_that_a_sharing_cannot_read_are_refused() -> None:
    with pytest.raises(ValueError, match="'sum' reads tables = 'both', not 'shared': drop tables"):
        built(sharing={"kind": "sum"}, tables="shared")
    with pytest.raises(ValueError, match="'mmoe' reads tables = 'shared' or 'per_task', not 'both'"):
        built(sharing=MMoE().model_dump(), tables="both")
