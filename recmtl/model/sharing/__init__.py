"""Every way of sharing that a file can name. Each builds an nn.Module from a file beside this one.

The classes here hold options only, so that a file can be checked where there is no torch.
A module takes `Embedded` and gives `Shared`: one view per task, and gates where it has them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from recmtl.batch import Columns
from recmtl.model.sharing.options import Gated, SharingConfig, Tables

if TYPE_CHECKING:
    from recmtl.model.sharing.module import SharingModule


class Separate(SharingConfig):
    """A network of its own per task over shared tables."""

    kind: Literal["separate"] = "separate"

    def build(self, columns: Columns, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.separate import SeparateNetworks

        return SeparateNetworks(columns.width, tasks, self)


class Single(SharingConfig):
    """A network and tables of its own per task: nothing is shared."""

    kind: Literal["single"] = "single"
    tables: ClassVar[tuple[Tables, ...]] = ("per_task",)

    def build(self, columns: Columns, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.separate import SeparateNetworks

        return SeparateNetworks(columns.width, tasks, self)


class SharedBottom(SharingConfig):
    """One network for all tasks (Caruana 1997)."""

    kind: Literal["shared_bottom"] = "shared_bottom"

    def build(self, columns: Columns, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.shared_bottom import SharedBottomNetwork

        return SharedBottomNetwork(columns.width, tasks, self)


class MMoE(Gated):
    """Multi-gate mixture of experts (Ma et al., KDD 2018)."""

    kind: Literal["mmoe"] = "mmoe"
    experts: int = Field(default=4, ge=2)

    def build(self, columns: Columns, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.mmoe import MultiGateExperts

        return MultiGateExperts(columns.width, tasks, self.experts, self)


Sharing = Annotated[Separate | Single | SharedBottom | MMoE, Field(discriminator="kind")]
