"""The loss of a task as a file names it: a weight alone, or a kind with its options.

The classes here hold options only; what they mean is computed in `recmtl/learn/losses.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, PositiveFloat, Tag, model_validator

from recmtl.plugins import Plugged
from recmtl.schema.config import Config
from recmtl.schema.tasks import Task, TaskType

if TYPE_CHECKING:
    from torch import Tensor


class Ranking(Config):
    """A term beside a task's loss: the order of rows within a user or request.

    Over pairs of its rows (RankNet, Burges et al., ICML 2005), or all of them at once (ListNet, Cao et
    al., ICML 2007). Which rows those are, `data.together` says.
    """

    ranks: ClassVar[Mapping[str, tuple[TaskType, ...]]] = {
        "pairwise": ("binary", "regression", "watch_time"), "listwise": ("binary",),
    }

    kind: Literal["pairwise", "listwise"]
    weight: PositiveFloat = Field(default=1.0, description="of this term beside the task's loss")

    def refusal(self, name: str, task: Task) -> str | None:
        """Why it does not rank the rows of the task of this name, or None."""
        types = self.ranks[self.kind]
        if task.type not in types:
            return f"ranking: {self.kind!r} is for {' and '.join(types)} tasks, {name!r} is {task.type}"
        if not isinstance(task.label, str):
            return f"ranking: rows are in the order of one label, {name!r} has {len(task.label)}"
        return None


class LossConfig(Config):
    """What all losses have: a weight in the sum over tasks, and the type of task that they are for."""

    kind: str
    type: ClassVar[TaskType] = "binary"
    also: ClassVar[tuple[TaskType, ...]] = ()  # further types
    outside: ClassVar[float] = 0.0  # what it sees for the label of rows that do not count
    weight: float = Field(default=1.0, description="of this task's loss in the sum over tasks")
    ranking: Ranking | None = Field(
        default=None, description="what is added to it: the order of rows within a user or request",
        exclude_if=lambda value: value is None,  # files that do not name it keep their digest
    )

    def refusal(self, name: str, task: Task) -> str | None:
        """Why it is no loss for the task of this name, or None."""
        if task.type in (self.type, *self.also):
            return self.ranking.refusal(name, task) if self.ranking else None
        fitting = " and ".join((self.type, *self.also))
        return f"{self.kind!r} is a loss of {fitting} tasks, {name!r} is {task.type}"


class CrossEntropy(LossConfig):
    """Of the label and σ(logit): log loss. Its options may be joined, but for the last two."""

    also = ("multilabel",)

    kind: Literal["cross_entropy"] = "cross_entropy"
    smoothing: float = Field(default=0.0, ge=0.0, lt=1.0, description="label y → y(1 − ε) + ε/2")
    positive_weight: float = Field(default=1.0, gt=0.0, description="of the term of positives")
    logit_adjustment: float = Field(default=0.0, ge=0.0, description="τ: the class prior in the logit")
    negatives: float = Field(default=1.0, gt=0.0, le=1.0, description="share of negatives that is read")

    @property
    def shifts(self) -> bool:
        """Whether the logit is moved before the loss."""
        return self.logit_adjustment > 0 or self.negatives < 1

    @model_validator(mode="after")
    def _one_shift(self) -> "CrossEntropy":
        if self.logit_adjustment > 0 and self.negatives < 1:
            raise ValueError("negatives and logit_adjustment both shift the logit: take one of them")
        return self


class Focal(LossConfig):
    """Cross-entropy that counts rows less the better they are told (Lin et al., ICCV 2017)."""

    also = ("multilabel",)

    kind: Literal["focal"] = "focal"
    gamma: float = Field(default=2.0, ge=0.0, description="0 is cross-entropy")
    alpha: float | None = Field(default=None, gt=0.0, lt=1.0, description="of positives; 1 − α of others")


class ZLPR(LossConfig):
    """Of all labels of a row at once: those that are 1 above a threshold of 0, the others below it."""

    type = "multilabel"

    kind: Literal["zlpr"] = "zlpr"


class Softmax(LossConfig):
    """Of the label and softmax(logits): the log loss of several classes."""

    type = "multiclass"

    kind: Literal["softmax"] = "softmax"
    smoothing: float = Field(default=0.0, ge=0.0, lt=1.0, description="ε: this share goes to all classes")
    class_weights: Literal["balanced"] | tuple[PositiveFloat, ...] | None = Field(
        default=None, description='of rows of each class; "balanced" is 1 / (K · its share)'
    )
    logit_adjustment: float = Field(default=0.0, ge=0.0, description="τ: the class priors in the logits")

    def refusal(self, name: str, task: Task) -> str | None:
        given = self.class_weights
        if isinstance(given, tuple) and task.class_count not in (0, len(given)):
            return f"class_weights has {len(given)} numbers, {name!r} has {task.class_count} classes"
        return super().refusal(name, task)


class SampledSoftmax(LossConfig):
    """The softmax of a row's class and some that are drawn, not of all (Bengio and Senécal 2008)."""

    type = "retrieval"
    outside = -1.0  # none: a class that it sees is read, and so moved by `table_l2`

    kind: Literal["sampled_softmax"] = "sampled_softmax"
    samples: int = Field(default=1000, ge=1, description="classes drawn a step; K, where they are fewer")
    proposal: Literal["frequency", "uniform"] = Field(
        default="frequency", description="drawn half by their shares of train, half evenly; or evenly"
    )


class ProportionalOdds(LossConfig):
    """Of an ordinal label and P(y > k) = σ(z − θ_k): its log loss (McCullagh 1980)."""

    type = "ordinal"

    kind: Literal["proportional_odds"] = "proportional_odds"


class Coral(LossConfig):
    """The log losses of all `y > k` at once (Cao et al. 2020)."""

    type = "ordinal"

    kind: Literal["coral"] = "coral"


class WeightedLogistic(LossConfig):
    """Watched rows are positives of the weight of their time (Covington et al., RecSys 2016)."""

    type = "watch_time"

    kind: Literal["weighted_logistic"] = "weighted_logistic"
    negatives: Literal["every", "unwatched"] = Field(
        default="every", description="rows that are a negative of weight 1: all, or those of time 0"
    )


class D2Q(LossConfig):
    """Of a watch time's quantile among those of items that last about as long (Zhan et al., KDD 2022)."""

    type = "watch_time"

    kind: Literal["d2q"] = "d2q"
    groups: int = Field(default=30, ge=2, le=1000, description="of equally many train rows, by duration")

    def refusal(self, name: str, task: Task) -> str | None:
        reason = super().refusal(name, task)
        if reason is None and task.duration is None:
            return (
                f"'d2q' compares rows of like duration: name the numeric feature that it is, "
                f'tasks.{name}.duration = "duration_ms"'
            )
        return reason


class ErrorLoss(LossConfig):
    """Of a regression, in units of the label's standard deviation."""

    type = "regression"


class SquaredError(ErrorLoss):
    """Its score is the mean."""

    kind: Literal["squared"] = "squared"


class AbsoluteError(ErrorLoss):
    """The same, not squared: its score is the median."""

    kind: Literal["absolute"] = "absolute"


class Huber(ErrorLoss):
    """Half the squared error up to `delta`, and linear beyond it (Huber 1964)."""

    kind: Literal["huber"] = "huber"
    delta: float = Field(default=1.0, gt=0.0, description="in standard deviations of the label")


class OwnLoss(LossConfig, ABC):
    """What a plug-in's losses are: options with the formula itself."""

    @abstractmethod
    def rows(
        self, raw: "Tensor", label: "Tensor", mean: "float | Tensor", std: "float | Tensor"
    ) -> "Tensor":
        """The loss of each row, from raw outputs and labels: (B,), (B,) → (B,), in fp32 or fp64.

        `raw` is the logit, or the prediction in the label's unit; `mean` and `std` are the label's on
        train. On rows outside of the task's label space, which do not count, the label is 0. Of a task
        with a list of labels all have a column each, (B, C), and so has the loss: the mean over those
        that a row knows is taken. Of a retrieval task `raw` is a `recmtl.batch.Factored`.
        """


# In this order: the first that is for a type of task is what a weight alone means there.
KINDS: tuple[type[LossConfig], ...] = (
    CrossEntropy, Focal, Softmax, SampledSoftmax, ZLPR, ProportionalOdds, Coral, WeightedLogistic, D2Q,
    SquaredError, AbsoluteError, Huber,
)
_NAMES = [loss.model_fields["kind"].default for loss in KINDS]


def _kind(value: Any) -> str | None:
    """Which of a union's classes a value in a file is meant as."""
    if isinstance(value, Mapping):
        return value.get("kind")
    return getattr(value, "kind", "weight")


Loss = Annotated[
    Annotated[float, Tag("weight")]
    | Annotated[CrossEntropy, Tag("cross_entropy")] | Annotated[Focal, Tag("focal")]
    | Annotated[Softmax, Tag("softmax")] | Annotated[SampledSoftmax, Tag("sampled_softmax")]
    | Annotated[ZLPR, Tag("zlpr")]
    | Annotated[ProportionalOdds, Tag("proportional_odds")] | Annotated[Coral, Tag("coral")]
    | Annotated[WeightedLogistic, Tag("weighted_logistic")] | Annotated[D2Q, Tag("d2q")]
    | Annotated[SquaredError, Tag("squared")] | Annotated[AbsoluteError, Tag("absolute")]
    | Annotated[Huber, Tag("huber")],
    Discriminator(
        _kind, custom_error_type="loss",
        custom_error_message=f"expected a weight, or a table with kind one of {', '.join(_NAMES)}",
    ),
    Plugged("recmtl.losses", OwnLoss),
]


def loss_of(task: Task, given: float | LossConfig) -> LossConfig:
    """What stands in a file as an object: a weight alone is the plain loss of the task's type."""
    if isinstance(given, LossConfig):
        return given
    plain = next(loss for loss in KINDS if task.type in (loss.type, *loss.also))
    return plain.model_validate({"weight": given})
