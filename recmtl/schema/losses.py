"""The loss of a task as a file names it: a weight alone, or a kind with its options.

The classes here hold options only; what they mean is computed in `recmtl/learn/losses.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from recmtl.plugins import Plugged
from recmtl.schema.config import Config
from recmtl.schema.tasks import Task

if TYPE_CHECKING:
    from torch import Tensor


class LossConfig(Config):
    """What all losses have: a weight in the sum over tasks, and the type of task that they are for."""

    kind: str
    type: ClassVar[Literal["binary", "regression"]] = "binary"
    weight: float = Field(default=1.0, description="of this task's loss in the sum over tasks")


class CrossEntropy(LossConfig):
    """Of the label and σ(logit): log loss. Its options may be joined, but for the last two."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    smoothing: float = Field(default=0.0, ge=0.0, lt=1.0, description="label y → y(1 − ε) + ε/2")
    positive_weight: float = Field(default=1.0, gt=0.0, description="of the term of positives")
    logit_adjustment: float = Field(default=0.0, ge=0.0, description="τ: the class prior in the logit")
    negatives: float = Field(default=1.0, gt=0.0, le=1.0, description="share of negatives that is read")

    @model_validator(mode="after")
    def _one_shift(self) -> "CrossEntropy":
        if self.logit_adjustment > 0 and self.negatives < 1:
            raise ValueError("negatives and logit_adjustment both shift the logit: take one of them")
        return self


class Focal(LossConfig):
    """Cross-entropy that counts rows less the better they are told (Lin et al., ICCV 2017)."""

    kind: Literal["focal"] = "focal"
    gamma: float = Field(default=2.0, ge=0.0, description="0 is cross-entropy")
    alpha: float | None = Field(default=None, gt=0.0, lt=1.0, description="of positives; 1 − α of others")


class SquaredError(LossConfig):
    """Of a regression, in units of the label's standard deviation: its score is the mean."""

    kind: Literal["squared"] = "squared"
    type = "regression"


class AbsoluteError(LossConfig):
    """The same, not squared: its score is the median."""

    kind: Literal["absolute"] = "absolute"
    type = "regression"


class Huber(LossConfig):
    """Half the squared error up to `delta`, and linear beyond it (Huber 1964)."""

    kind: Literal["huber"] = "huber"
    type = "regression"
    delta: float = Field(default=1.0, gt=0.0, description="in standard deviations of the label")


class OwnLoss(LossConfig, ABC):
    """What a plug-in's losses are: options with the formula itself."""

    @abstractmethod
    def rows(self, raw: "Tensor", label: "Tensor", mean: float, std: float) -> "Tensor":
        """The loss of each row, from raw outputs and labels: (B,), (B,) → (B,), in fp32 or fp64.

        `raw` is the logit, or the prediction in the label's unit; `mean` and `std` are the label's on
        train. On rows outside of the task's label space, which do not count, the label is 0.
        """


_PLAIN: Mapping[str, type[CrossEntropy] | type[SquaredError]] = {
    "binary": CrossEntropy, "regression": SquaredError,
}
_KINDS = ("cross_entropy", "focal", "squared", "absolute", "huber")


def _kind(value: Any) -> str | None:
    """Which of a union's classes a value in a file is meant as."""
    if isinstance(value, Mapping):
        return value.get("kind")
    return getattr(value, "kind", "weight")


Loss = Annotated[
    Annotated[float, Tag("weight")]
    | Annotated[CrossEntropy, Tag("cross_entropy")] | Annotated[Focal, Tag("focal")]
    | Annotated[SquaredError, Tag("squared")] | Annotated[AbsoluteError, Tag("absolute")]
    | Annotated[Huber, Tag("huber")],
    Discriminator(
        _kind, custom_error_type="loss",
        custom_error_message=f"expected a weight, or a table with kind one of {', '.join(_KINDS)}",
    ),
    Plugged("recmtl.losses", OwnLoss),
]


def loss_of(task: Task, given: float | LossConfig) -> LossConfig:
    """What stands in a file as an object: a weight alone is cross-entropy, or the squared error."""
    return given if isinstance(given, LossConfig) else _PLAIN[task.type](weight=given)
