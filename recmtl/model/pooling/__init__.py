"""How the embeddings of a list become its columns of a view, where they are not averaged.

The classes here hold options only, so that a file can be checked where there is no torch. A module takes
the embeddings of all values, and what each row's are compared with; a list keeps its place in the view.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recmtl.errors import nearest
from recmtl.model.sharing.options import Widths
from recmtl.schema import Config
from recmtl.schema.features import named_by

if TYPE_CHECKING:
    from recmtl.model.pooling.target_attention import TargetAttentionUnit


class TargetAttention(Config):
    """A list's values weighed by what they say of a target (Zhou et al., KDD 2018)."""

    kind: Literal["target_attention"] = "target_attention"
    target: str = Field(description="feature that the values are compared with, of the list's width")
    hidden: Widths = Field(default=(36,), description="of the network that weighs a value")
    activation: Literal["relu", "prelu", "dice"] = Field(
        default="relu", description="of that network: in the paper prelu or dice",
        exclude_if=lambda value: value == "relu",  # files that do not name it keep their digest
    )
    softmax: bool = Field(default=False, description="weights sum to 1: in the paper they do not")

    @property
    def normalises(self) -> bool:
        """As of a sharing."""
        return self.activation == "dice"

    def build(self, width: int) -> "TargetAttentionUnit":
        """The module for embeddings of this width."""
        from recmtl.model.pooling.target_attention import TargetAttentionUnit

        return TargetAttentionUnit(width, self.hidden, self.activation, self.softmax)


Pooling = Mapping[str, TargetAttention]  # list → how it is pooled


def refusal(pooling: Pooling, lists: Mapping[str, int], others: Mapping[str, int]) -> str | None:
    """Why lists cannot be pooled in this way, or None.

    `lists` and `others` are the features that are looked up (names or patterns), with their widths.
    """
    for name, options in pooling.items():
        key, target = named_by(name, lists), named_by(options.target, others)
        if key is None:
            return f"pooling: no list {name!r} among the features; {nearest(name, lists)}"
        if target is None:
            near = nearest(options.target, others)
            return f"pooling.{name}.target: no feature {options.target!r} of one embedding a row; {near}"
        if lists[key] != others[target]:
            return (
                f"pooling.{name}: its embeddings have {lists[key]} columns, those of its target "
                f"{options.target!r} {others[target]}: give both one width, or `share` one table"
            )
    return None
