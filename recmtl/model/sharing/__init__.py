"""Every way of sharing that a file can name. Each builds an nn.Module from a file beside this one.

The classes here hold options only, so that a file can be checked where there is no torch.
A module takes `Embedded` and gives `Shared`: one view per task, and gates where it has them.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from recmtl.schema import Config

if TYPE_CHECKING:
    from recmtl.model.sharing.module import SharingModule

Tables = Literal["shared", "per_task"]
Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]


class SharingConfig(Config, ABC):
    """What all sharings have: the hidden layers of their networks."""

    tables: ClassVar[Tables | None] = None  # set where a sharing only makes sense with one kind
    hidden: Widths = (256, 128)
    dropout: Dropout = 0.0

    @abstractmethod
    def build(self, inputs: int, tasks: Sequence[str]) -> "SharingModule":
        """The module for views of `inputs` columns and the named towers."""


class Separate(SharingConfig):
    """A network of its own per task over shared tables."""

    kind: Literal["separate"] = "separate"

    def build(self, inputs: int, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.separate import SeparateNetworks

        return SeparateNetworks(inputs, tasks, self.hidden, self.dropout)


class Single(SharingConfig):
    """A network and tables of its own per task: nothing is shared."""

    kind: Literal["single"] = "single"
    tables: ClassVar[Tables | None] = "per_task"

    def build(self, inputs: int, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.separate import SeparateNetworks

        return SeparateNetworks(inputs, tasks, self.hidden, self.dropout)


class SharedBottom(SharingConfig):
    """One network for all tasks (Caruana 1997)."""

    kind: Literal["shared_bottom"] = "shared_bottom"

    def build(self, inputs: int, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.shared_bottom import SharedBottomNetwork

        return SharedBottomNetwork(inputs, tasks, self.hidden, self.dropout)


class MMoE(SharingConfig):
    """Multi-gate mixture of experts (Ma et al., KDD 2018)."""

    kind: Literal["mmoe"] = "mmoe"
    experts: int = Field(default=4, ge=2)

    def build(self, inputs: int, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.mmoe import MultiGateExperts

        return MultiGateExperts(inputs, tasks, self.hidden, self.experts, self.dropout)


Sharing = Annotated[Separate | Single | SharedBottom | MMoE, Field(discriminator="kind")]
