"""Every way in which the embeddings of a row can meet before the sharing that a file can name.

The classes here hold options only, so that a file can be checked where there is no torch. A module takes
`Embedded` and gives `Embedded`: views of the same rows, whose columns still go by name.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from recmtl.batch import Columns
from recmtl.errors import nearest
from recmtl.schema import Config
from recmtl.schema.features import has_wildcard, named_by

if TYPE_CHECKING:
    from recmtl.model.interaction.module import InteractionModule

Widths = Mapping[str, int]  # each feature that is looked up, a name or a pattern → its embedding's width


class InteractionConfig(Config, ABC):
    """What all interactions have: a module a model, over its views."""

    def refusal(self, widths: Widths) -> str | None:
        """Why this interaction cannot serve these features, or None."""
        return None

    @abstractmethod
    def build(self, columns: Columns, widths: Widths, views: Sequence[str]) -> "InteractionModule":
        """The module for the named views, of these columns each."""


class NoInteraction(InteractionConfig):
    """The sharing reads the embedded batch as it is."""

    kind: Literal["none"] = "none"

    def build(self, columns: Columns, widths: Widths, views: Sequence[str]) -> "InteractionModule":
        from recmtl.model.interaction.module import InteractionModule

        return InteractionModule(columns)


class FM(InteractionConfig):
    """The products of all pairs of embeddings, added up (Rendle, ICDM 2010; He and Chua, SIGIR 2017)."""

    kind: Literal["fm"] = "fm"
    features: tuple[str, ...] = Field(default=(), description="those that meet; without: all looked up")

    def refusal(self, widths: Widths) -> str | None:
        found: dict[str, int] = {}
        for name in self.features or widths:
            key = named_by(name, widths)
            if key is None:
                near = nearest(name, widths)
                return f"interaction.features: no feature {name!r} with an embedding; {near}"
            found[name] = widths[key]
        if len(set(found.values())) > 1:
            each = ", ".join(f"{name} has {width}" for name, width in found.items())
            return (
                f"interaction: fm multiplies embeddings of one width: {each}; give them one width, "
                "or name those that meet in interaction.features"
            )
        if len(found) < 2 and not any(map(has_wildcard, found)):
            return f"interaction: fm is of two features or more with an embedding, found {len(found)}"
        return None

    def build(self, columns: Columns, widths: Widths, views: Sequence[str]) -> "InteractionModule":
        from recmtl.model.interaction.fm import PairwiseProducts

        return PairwiseProducts(columns, self.features or tuple(widths))


class DCNv2(InteractionConfig):
    """Cross layers over all columns of a view (Wang et al., WWW 2021)."""

    kind: Literal["dcn_v2"] = "dcn_v2"
    layers: int = Field(default=2, ge=1)
    rank: int | None = Field(default=None, ge=1, description="of a layer's matrix; without: full")
    output: Literal["parallel", "stacked"] = Field(
        default="parallel", description="beside the view, or in its place"
    )

    def build(self, columns: Columns, widths: Widths, views: Sequence[str]) -> "InteractionModule":
        from recmtl.model.interaction.dcn_v2 import CrossNetworks

        return CrossNetworks(columns, views, self.layers, self.rank, self.output == "parallel")


Interaction = Annotated[NoInteraction | FM | DCNv2, Field(discriminator="kind")]
