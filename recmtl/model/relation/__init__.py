"""Every way in which tasks can hang together that a file can name: which towers a model has, and why.

The classes here hold options only, so that a file can be checked where there is no torch. A module
stands on both sides of the towers: it may change the views that they read, and makes the tasks' outputs
of theirs.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from pydantic import Field, PositiveInt

from recmtl.errors import nearest
from recmtl.model.sharing.options import Widths
from recmtl.plugins import Plugged
from recmtl.schema import Config, Task
from recmtl.schema.losses import CrossEntropy, LossConfig
from recmtl.schema.tasks import TaskType

if TYPE_CHECKING:
    from recmtl.model.relation.module import RelationModule

Tasks = Mapping[str, Task]
Losses = Mapping[str, LossConfig]  # of the tasks that have one
EVERY_TYPE = frozenset(get_args(TaskType))


class RelationConfig(Config, ABC):
    """What all relations have: the types of tasks that they accept."""

    accepts: ClassVar[frozenset[str]] = frozenset({"binary", "regression"})

    def refusal(self, tasks: Tasks, losses: Losses) -> str | None:
        """Why this relation cannot serve these tasks, or None."""
        return None

    def towers(self, tasks: Tasks, trained: frozenset[str]) -> tuple[str, ...]:
        """The tasks that get a tower, in the order of `tasks`: those with a loss, unless it says more."""
        return tuple(t for t in tasks if t in trained)

    @abstractmethod
    def build(self, inputs: int, tasks: Tasks) -> "RelationModule":
        """The module for views of `inputs` columns."""


class Independent(RelationConfig):
    """A tower for each task with a loss; none knows of another."""

    accepts = EVERY_TYPE

    kind: Literal["independent"] = "independent"

    def build(self, inputs: int, tasks: Tasks) -> "RelationModule":
        from recmtl.model.relation.module import RelationModule

        return RelationModule(inputs)


class Product(RelationConfig):
    """A declared product is the product of its factors' probabilities (ESMM, Ma et al., SIGIR 2018).

    With a loss on the product, its factors are trained through it over the entire space.
    """

    accepts = EVERY_TYPE

    kind: Literal["product"] = "product"

    def refusal(self, tasks: Tasks, losses: Losses) -> str | None:
        if not any(task.product for task in tasks.values()):
            return "no task declares a product, e.g. ctcvr = { label = …, product = [\"ctr\", \"cvr\"] }"
        for name in tasks:
            if name in losses and tasks[name].product:
                return None
        return "no product has a loss: with a loss on its factors alone, independent is the same"

    def towers(self, tasks: Tasks, trained: frozenset[str]) -> tuple[str, ...]:
        factors = {f for t in trained for f in tasks[t].product}
        return tuple(t for t in tasks if t in factors or (t in trained and not tasks[t].product))

    def build(self, inputs: int, tasks: Tasks) -> "RelationModule":
        from recmtl.model.relation.product import ProductRule

        return ProductRule(inputs, tasks)


class Chained(RelationConfig):
    """What relations have whose tasks follow from each other, one by one: binary ones on all rows."""

    accepts = EVERY_TYPE  # beside those of the chain

    chain: tuple[str, ...] = Field(default=(), description="tasks, each after the one before it")

    def refusal(self, tasks: Tasks, losses: Losses) -> str | None:
        if len(self.chain) < 2 or len(set(self.chain)) < len(self.chain):
            return 'relation.chain: two tasks or more in their order, each once, e.g. ["ctr", "ctcvr"]'
        for name in self.chain:
            if name not in tasks:
                return f"relation.chain names no task {name!r}; {nearest(name, tasks)}"
            if name not in losses:
                return f"relation.chain: {name!r} has no loss"
            if tasks[name].type != "binary":
                return f"relation.chain: {name!r} is {tasks[name].type}, a chain is of binary tasks"
            if tasks[name].given:
                return (
                    f"relation.chain: {name!r} is given {tasks[name].given!r}, a chain is of tasks on "
                    "all rows; take the product that it is a factor of"
                )
        return None


class AITM(Chained):
    """A task's tower reads what the task before it in the chain hands on (Xi et al., KDD 2021)."""

    kind: Literal["aitm"] = "aitm"
    calibrator: float = Field(default=0.6, ge=0.0, description="weight in the loss of p_t > p_(t-1)")

    def build(self, inputs: int, tasks: Tasks) -> "RelationModule":
        from recmtl.model.relation.aitm import InformationTransfer

        return InformationTransfer(inputs, self.chain, self.calibrator)


class ClassifierChain(Chained):
    """A task's raw output is shifted by the outcome of the task before it (Read et al. 2009)."""

    kind: Literal["chain"] = "chain"

    def build(self, inputs: int, tasks: Tasks) -> "RelationModule":
        from recmtl.model.relation.classifier_chain import ClassifierChain

        return ClassifierChain(inputs, self.chain, tasks)


class LabelChain(Chained):
    """A task's tower reads an embedding of the label of the task before it (Read et al. 2009)."""

    kind: Literal["label_chain"] = "label_chain"
    hidden: Widths = Field(default=(64, 32), description="of the tower that guesses a label")
    labels: Literal["guessed", "true"] = Field(default="guessed", description="read in training")

    def build(self, inputs: int, tasks: Tasks) -> "RelationModule":
        from recmtl.model.relation.label_chain import LabelChain

        return LabelChain(inputs, self.chain, tasks, self.hidden, self.labels == "true")


class DBMTL(RelationConfig):
    """A task's tower reads what the tasks before it in a graph hand on (Wang et al., 2019)."""

    accepts = EVERY_TYPE

    kind: Literal["dbmtl"] = "dbmtl"
    before: Mapping[str, tuple[str, ...]] = Field(default={}, description="of a task, those it reads")
    hidden: tuple[PositiveInt, ...] = Field(
        default=(), description="layers of each network below its last, which is as wide as a view"
    )

    def refusal(self, tasks: Tasks, losses: Losses) -> str | None:
        if not self.before:
            return 'relation.before: of one task or more those before it, e.g. { ctcvr = ["ctr"] }'
        for task, earlier in self.before.items():
            if not earlier or len(set(earlier)) < len(earlier):
                return f"relation.before.{task}: one task or more, each once, not {list(earlier)}"
            for name in (task, *earlier):
                if name not in tasks:
                    return f"relation.before names no task {name!r}; {nearest(name, tasks)}"
                if name not in losses:
                    return f"relation.before: {name!r} has no loss; give it one, or leave it out"
        try:
            TopologicalSorter(self.before).prepare()
        except CycleError as error:
            circle = " → ".join(error.args[1])
            return f"relation.before goes in a circle, {circle}: leave one of them out"
        return None

    def build(self, inputs: int, tasks: Tasks) -> "RelationModule":
        from recmtl.model.relation.dbmtl import BayesianNetwork

        return BayesianNetwork(inputs, self.before, self.hidden)


class ESCM2(RelationConfig):
    """Conversions are learned over all impressions by a click's propensity (Wang et al., SIGIR 2022)."""

    accepts = EVERY_TYPE

    kind: Literal["escm2"] = "escm2"
    estimator: Literal["ips", "dr"] = Field(default="dr", description="inverse propensity, doubly robust")
    clip: float = Field(default=0.01, gt=0.0, lt=1.0, description="least propensity of a click")
    correction: float = Field(
        default=1.0, ge=0.0, description="dr: weight of ê (1 − o/ô); that of the conversion's loss"
    )
    imputation: float = Field(default=1.0, ge=0.0, description="dr: weight of the imputation's error")
    hidden: Widths = Field(default=(64, 32), description="dr: of the imputation's tower")

    def refusal(self, tasks: Tasks, losses: Losses) -> str | None:
        products = [task.product for task in tasks.values() if task.product]
        if len(products) != 1 or len(products[0]) != 2:
            return 'escm2 takes one product of two tasks, e.g. ctcvr = { …, product = ["ctr", "cvr"] }'
        click, conversion = products[0]
        for factor in (click, conversion):
            if factor not in losses:
                return f"escm2 weighs {conversion!r} by what {click!r} says: {factor!r} has no loss"
            if losses[factor] != CrossEntropy(weight=losses[factor].weight):
                return (
                    f"escm2 reads {factor!r} as a probability and imputes its log loss: "
                    f"give loss.{factor} as a weight alone"
                )
        return None

    def towers(self, tasks: Tasks, trained: frozenset[str]) -> tuple[str, ...]:
        return tuple(t for t in tasks if t in trained and not tasks[t].product)

    def build(self, inputs: int, tasks: Tasks) -> "RelationModule":
        from recmtl.model.relation.escm2 import EntireSpace, Imputation

        robust = self.estimator == "dr"
        imputation = Imputation(inputs, self.hidden, self.correction, self.imputation) if robust else None
        return EntireSpace(inputs, tasks, self.clip, imputation)


Relation = Annotated[
    Independent | Product | AITM | ClassifierChain | LabelChain | DBMTL | ESCM2,
    Field(discriminator="kind"), Plugged("recmtl.relations", RelationConfig),
]
