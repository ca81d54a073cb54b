"""Every way of sharing that a file can name. Each builds an nn.Module from a file beside this one.

The classes here hold options only, so that a file can be checked where there is no torch.
A module takes `Embedded` and gives `Shared`: one view per task, and gates where it has them.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from recmtl.batch import Columns
from recmtl.errors import nearest
from recmtl.model.sharing.options import Gated, OwnExperts, SharingConfig, Tables
from recmtl.plugins import Plugged

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


class OMoE(Gated):
    """The same with one gate for all tasks."""

    kind: Literal["omoe"] = "omoe"
    tables: ClassVar[tuple[Tables, ...]] = ("shared",)
    experts: int = Field(default=4, ge=2)

    def build(self, columns: Columns, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.omoe import OneGateExperts

        return OneGateExperts(columns.width, tasks, self.experts, self)


class CGC(OwnExperts):
    """Customised gate control: experts of each task and shared ones (Tang et al., RecSys 2020)."""

    kind: Literal["cgc"] = "cgc"
    tables: ClassVar[tuple[Tables, ...]] = ("shared", "both")

    def build(self, columns: Columns, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.ple import LayeredExtraction

        return LayeredExtraction(columns.width, self.sources(tasks), 1, self)


class PLE(OwnExperts):
    """Progressive layered extraction: levels of CGC, each with layers of `hidden` (the same paper)."""

    kind: Literal["ple"] = "ple"
    tables: ClassVar[tuple[Tables, ...]] = ("shared", "both")
    levels: int = Field(default=2, ge=2)

    def build(self, columns: Columns, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.ple import LayeredExtraction

        return LayeredExtraction(columns.width, self.sources(tasks), self.levels, self)


class CrossStitch(SharingConfig):
    """A network per task, their activations recombined after each layer (Misra et al., CVPR 2016)."""

    kind: Literal["cross_stitch"] = "cross_stitch"
    own: float = Field(default=0.9, ge=0.0, le=1.0, description="a task's part in itself, at the start")

    def build(self, columns: Columns, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.cross_stitch import StitchedNetworks

        return StitchedNetworks(columns.width, tasks, self.own, self)


class SoftSharing(SharingConfig):
    """A network per task, and the distance between their weights in the loss.

    l2: Duong et al., ACL 2015, L2-Constrained in the MMoE paper; trace_norm: Yang and Hospedales 2017.
    """

    kind: Literal["soft_sharing"] = "soft_sharing"
    distance: Literal["l2", "trace_norm"] = "l2"
    strength: float = Field(default=1e-3, gt=0.0, description="weight of the distance in the loss")

    def build(self, columns: Columns, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.soft_sharing import TiedNetworks

        return TiedNetworks(columns.width, tasks, self.distance, self.strength, self)


class TensorFactorization(SharingConfig):
    """A network per task, the weights of all one tensor of low rank (Yang and Hospedales 2017)."""

    kind: Literal["tensor_factorization"] = "tensor_factorization"
    rank: int = Field(default=64, ge=1, description="of a layer's inputs and outputs")
    task_rank: int = Field(default=2, ge=1)

    def build(self, columns: Columns, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.tensor_factorization import FactorizedNetworks

        return FactorizedNetworks(columns.width, tasks, self.rank, self.task_rank, self)


class STEM(OwnExperts):
    """Experts of each task over tables of its own, and shared ones (Su et al., AAAI 2024)."""

    kind: Literal["stem"] = "stem"
    tables: ClassVar[tuple[Tables, ...]] = ("both",)

    def build(self, columns: Columns, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.stem import EmbeddingsOfTasks

        return EmbeddingsOfTasks(columns.width, self.sources(tasks), self)


class HoME(Gated):
    """Experts of groups of tasks, then of tasks, with feature and self gates (Wang et al. 2024)."""

    kind: Literal["home"] = "home"
    tables: ClassVar[tuple[Tables, ...]] = ("shared",)
    normalises = True
    experts: int = Field(default=1, ge=1, description="of each task, each group, and all")
    rank: PositiveInt | Literal["split"] = Field(
        default=16, description="of a pair of matrices of an expert's gate over its inputs"
    )
    pairs: int = Field(
        default=1, ge=1, description="of matrices in such a gate",
        exclude_if=lambda value: value == 1,  # files that do not name it keep their digest
    )
    groups: tuple[tuple[str, ...], ...] = Field(default=(), description="tasks; without: one of all")

    def refusal(self, towers: Sequence[str], features: Sequence[str]) -> str | None:
        grouped = [task for group in self.groups for task in group]
        if self.groups and (sorted(grouped) != sorted(towers) or not all(self.groups)):
            return f"sharing.groups: each of the towers {', '.join(towers)} stands in one group"
        return None

    def build(self, columns: Columns, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.home import HierarchicalExperts

        groups = {f"group {i}": group for i, group in enumerate(self.groups or (tuple(tasks),))}
        gates = (self.pairs, None if self.rank == "split" else self.rank)
        return HierarchicalExperts(columns.width, groups, (self.experts, *gates), self)


class PEPNet(SharingConfig):
    """A network per task, scaled by what is known of domain, user and item (Chang et al., KDD 2023)."""

    kind: Literal["pepnet"] = "pepnet"
    tables: ClassVar[tuple[Tables, ...]] = ("shared",)
    domain: tuple[str, ...] = Field(default=(), description="features that scale the embeddings")
    prior: tuple[str, ...] = Field(default=(), description="features that scale the hidden units")
    gate_hidden: int = Field(default=64, ge=1, description="width of a gate's hidden layer")
    output_gate: bool = Field(
        default=False, description="scale what the towers read, too",
        exclude_if=lambda value: not value,  # files that do not name it keep their digest
    )

    def refusal(self, towers: Sequence[str], features: Sequence[str]) -> str | None:
        for key, names in (("domain", self.domain), ("prior", self.prior)):
            for name in names:
                if not any(fnmatchcase(name, feature) for feature in features):
                    return f"sharing.{key}: no feature {name!r}; {nearest(name, features)}"
        return None

    def build(self, columns: Columns, tasks: Sequence[str]) -> "SharingModule":
        from recmtl.model.sharing.pepnet import PersonalisedNetworks

        names, gates = (self.domain, self.prior), (self.gate_hidden, self.output_gate)
        return PersonalisedNetworks(columns, tasks, names, gates, self)


Sharing = Annotated[
    Separate | Single | SharedBottom | OMoE | MMoE | CGC | PLE | CrossStitch | SoftSharing
    | TensorFactorization | STEM | HoME | PEPNet,
    Field(discriminator="kind"), Plugged("recmtl.sharings", SharingConfig),
]
