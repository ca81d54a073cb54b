"""A model as it stands in a file: `[models.NAME]`. Two models differ by the lines that differ here."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from pydantic import Field, PositiveInt, model_validator

from recmtl.errors import nearest
from recmtl.model.interaction import Interaction, NoInteraction
from recmtl.model.pooling import TargetAttention, refusal
from recmtl.model.relation import Independent, Relation
from recmtl.model.relation.derived import derivable
from recmtl.model.sharing import Sharing
from recmtl.model.sharing.options import Dropout, Tables
from recmtl.schema import Config, Task
from recmtl.schema.freeze import Freeze
from recmtl.schema.losses import Loss, LossConfig, loss_of
from recmtl.schema.turns import TurnTasks
from recmtl.schema.turns import refusal as no_turns
from recmtl.schema.weighting import WeightingConfig


class EmbeddingConfig(Config):
    """`[embedding]`: the same for every model of a file, so that they stay comparable."""

    width: int = Field(default=16, ge=1, description="columns of a feature without a width of its own")
    dropout: Dropout = Field(default=0.0, description="on the embedded batch, in training")
    init: float = Field(default=0.01, gt=0.0, description="standard deviation of new rows")


class TowerConfig(Config):
    """The network between a task's view and its raw output: without hidden layers a linear one."""

    hidden: tuple[PositiveInt, ...] = (64, 32)
    dropout: Dropout = 0.0


class ModelConfig(Config):
    """`[models.NAME]`: interaction, sharing, relation, towers, and each task's loss."""

    interaction: Interaction = Field(
        default=NoInteraction(), description="how embeddings meet before the sharing",
        exclude_if=lambda value: value == NoInteraction(),  # as of `weighting`
    )
    sharing: Sharing
    relation: Relation = Independent()
    towers: TowerConfig = TowerConfig()
    pooling: dict[str, TargetAttention] = Field(
        default={}, description="list → how its embeddings are pooled; without: averaged",
        exclude_if=lambda value: not value,  # as of `weighting`
    )
    tables: Tables | None = Field(default=None, description="shared, one per task, or both")
    loss: dict[str, Loss] = Field(min_length=1, description="task → its loss, or the weight of it alone")
    weighting: WeightingConfig | None = Field(
        default=None, description="what moves the weights; without, none does",
        exclude_if=lambda value: value is None,  # files that do not name it keep their digest
    )

    freeze: Freeze | None = Field(
        default=None, description="parts that stand still at first",
        exclude_if=lambda value: value is None,
    )
    turns: TurnTasks = Field(
        default=(), description="tasks with a loss that are trained in turns; without: all in each step",
        exclude_if=lambda value: not value,
    )

    @model_validator(mode="after")
    def _options_agree(self) -> "ModelConfig":
        for task, loss in self.loss.items():
            weight = loss.weight if isinstance(loss, LossConfig) else loss
            if weight <= 0:
                raise ValueError(f"loss.{task} = {weight:g}: a weight is positive; leave the task out")
        if self.weighting and len(self.loss) < 2:
            raise ValueError("weighting is between tasks, and loss names one: drop weighting")
        if self.tables and self.tables not in self.sharing.tables:
            known = " or ".join(map(repr, self.sharing.tables))
            raise ValueError(
                f"sharing {self.sharing.kind!r} reads tables = {known}, not {self.tables!r}: drop tables"
            )
        return self

    @model_validator(mode="after")
    def _tasks_can_take_turns(self) -> "ModelConfig":
        reason = no_turns(self.turns, self.loss)
        if reason:
            raise ValueError(reason)
        if self.turns and self.weighting:
            raise ValueError("weighting is between tasks of one step, turns have steps each: drop one")
        parts = {f"sharing {self.sharing.kind!r}": self.sharing.normalises}
        parts |= {f"pooling.{name}": options.normalises for name, options in self.pooling.items()}
        for part, normalises in parts.items():
            if self.turns and normalises:
                raise ValueError(
                    f"turns: {part} normalises by running statistics, which each turn would take of its "
                    "own rows; take another, or drop turns"
                )
        return self

    @property
    def effective_tables(self) -> Tables:
        return self.tables or self.sharing.tables[0]

    def refusal(self, tasks: Mapping[str, Task]) -> str | None:
        """Why this model cannot serve these tasks, or None."""
        losses: dict[str, LossConfig] = {}
        for task, loss in self.loss.items():
            if task not in tasks:
                return f"loss names no task {task!r}; {nearest(task, tasks)}"
            losses[task] = loss_of(tasks[task], loss)
            reason = losses[task].refusal(task, tasks[task])
            if reason:
                return f"loss.{task}: {reason}"
            if tasks[task].type not in self.relation.accepts:
                return (
                    f"relation {self.relation.kind!r} takes {sorted(self.relation.accepts)} tasks, "
                    f"{task!r} is {tasks[task].type}"
                )
        return self.relation.refusal(tasks, losses)

    def turns_refusal(self, sharded: bool, table_l2: float) -> str | None:
        """Why its tasks cannot take turns with tables that are trained so, or None."""
        if self.turns and sharded:
            return "turns: sharded tables have one optimizer's state; drop train.sharded_tables"
        if self.turns and table_l2 and self.effective_tables != "shared":
            return (
                f"turns: train.table_l2 = {table_l2:g} would move what a row holds of tasks that wait; "
                "drop it, or take tables = 'shared'"
            )
        return None

    def misreads(self, widths: Mapping[str, int], lists: AbstractSet[str]) -> str | None:
        """Why this model cannot read features whose embeddings have these widths, or None.

        All that are looked up, names or patterns, some of them lists.
        """
        pooled = {name: width for name, width in widths.items() if name in lists}
        others = {name: width for name, width in widths.items() if name not in lists}
        return refusal(self.pooling, pooled, others) or self.interaction.refusal(widths)

    def towers_for(self, tasks: Mapping[str, Task]) -> tuple[str, ...]:
        """The tasks that have a tower."""
        return self.relation.towers(tasks, frozenset(self.loss))

    def reports(self, tasks: Mapping[str, Task]) -> dict[str, str]:
        """Every task that this model scores → "trained", "tower" (no loss of its own) or "derived"."""
        towers = set(self.towers_for(tasks))
        given = frozenset(towers | (set(self.loss) & set(tasks)))
        derived = derivable(tasks, given)
        return {
            t: "trained" if t in self.loss else "tower" if t in given else "derived"
            for t in tasks if t in given or t in derived
        }
