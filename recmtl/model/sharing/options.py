"""What the options of sharings have in common. They hold no torch: a file is checked without it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from recmtl.batch import Columns
from recmtl.schema import Config

if TYPE_CHECKING:
    from recmtl.model.sharing.module import SharingModule

Tables = Literal["shared", "per_task", "both"]
Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]
ALL = "all tasks"  # what belongs to none of them: no task's name has a space


class SharingConfig(Config, ABC):
    """What all sharings have: the hidden layers of their networks."""

    tables: ClassVar[tuple[Tables, ...]] = ("shared", "per_task")  # that it reads; the first by default
    normalises: ClassVar[bool] = False  # by running statistics of the rows that it is trained on
    hidden: Widths = (256, 128)
    dropout: Dropout = 0.0

    def refusal(self, towers: Sequence[str], features: Sequence[str]) -> str | None:
        """Why this sharing cannot serve these towers from these features (names or patterns), or None."""
        return None

    @abstractmethod
    def build(self, columns: Columns, tasks: Sequence[str]) -> "SharingModule":
        """The module for views of these columns and the named towers."""


class Gated(SharingConfig):
    """What sharings with experts and gates have besides."""

    temperature: float = Field(default=1.0, gt=0.0, description="softmax(logits / temperature)")
    gate_dropout: Dropout = Field(default=0.0, description="share of experts left out, in training")
    balance: float = Field(default=0.0, ge=0.0, description="weight of uneven use of experts in the loss")


class OwnExperts(Gated):
    """What sharings have besides whose tasks have experts of their own."""

    experts: PositiveInt | dict[str, PositiveInt] = Field(default=2, description="of a task, or by task")
    shared_experts: int = Field(default=2, ge=1)

    def refusal(self, towers: Sequence[str], features: Sequence[str]) -> str | None:
        if isinstance(self.experts, dict) and self.experts.keys() != set(towers):
            return f"sharing.experts: names each of the towers {', '.join(towers)}, or is one number"
        return None

    def sources(self, tasks: Sequence[str]) -> Mapping[str, int]:
        """How many experts read the view of each task, and how many that of all."""
        own = self.experts if isinstance(self.experts, dict) else dict.fromkeys(tasks, self.experts)
        return {**{task: own[task] for task in tasks}, ALL: self.shared_experts}
