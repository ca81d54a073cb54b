"""Feature kinds: how a column becomes rows of a table or numbers. Each knows no data."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from recmtl.errors import RecmtlError, nearest
from recmtl.plugins import Plugged
from recmtl.schema.config import Config
from recmtl.schema.rates import Count, Rate

if TYPE_CHECKING:
    import numpy as np


class _Embedded(Config):
    """What all kinds share that look up rows of an embedding table."""

    column: str | None = Field(default=None, description="column to read; default: the feature's name")
    min_count: int = Field(default=1, ge=1, description="rarer values on train read the unknown row")
    max_size: int | None = Field(default=None, ge=1, description="keep the most frequent values only")
    buckets: int | None = Field(default=None, ge=1, description="hash into so many rows, no vocabulary")
    width: int | None = Field(default=None, ge=1, description="embedding width; default: [embedding]")
    share: str | None = Field(default=None, description="use the vocabulary and table of this feature")
    init: str | None = Field(
        default=None, description="Parquet file of values and the embeddings that they begin with",
        exclude_if=lambda value: value is None,  # features that do not name it keep their digest
    )
    freeze: bool = Field(
        default=False, description="keep the embeddings of init as they are",
        exclude_if=lambda value: not value,
    )

    @model_validator(mode="after")
    def _one_way_to_rows(self) -> "_Embedded":
        if self.buckets and (self.max_size or self.min_count > 1):
            raise ValueError("buckets hash every value: drop min_count and max_size, or drop buckets")
        own = (self.buckets, self.max_size, self.min_count > 1, self.width, self.init, self.freeze)
        if self.share and any(own):
            raise ValueError("share takes all of the other feature's options: give none here")
        return self

    @model_validator(mode="after")
    def _embeddings_have_values(self) -> "_Embedded":
        if self.init and self.buckets:
            raise ValueError("init is joined by the values of a vocabulary: drop buckets, or drop init")
        if self.freeze and not self.init:
            raise ValueError("freeze keeps the embeddings that init gives: name their file")
        return self


class Categorical(_Embedded):
    """One id a row: a 64-bit integer, a string, a boolean or a whole float."""

    kind: Literal["categorical"] = "categorical"


class Bag(_Embedded):
    """Several ids a row in no order, averaged: a list column, or a string with a separator."""

    kind: Literal["bag"] = "bag"
    separator: str | None = Field(default=None, min_length=1)


class History(_Embedded):
    """The last `last` ids of a list column, most recent last; averaged unless a part attends."""

    kind: Literal["history"] = "history"
    last: int = Field(default=50, ge=1)


class Numeric(Config):
    """One number a row; null becomes 0 after scaling, with an indicator beside it."""

    kind: Literal["numeric"] = "numeric"
    column: str | None = None
    transform: Literal["standardise", "log1p", "quantile", "none"] = Field(
        default="standardise",
        description="log1p: sign(x)·log(1+|x|), then standardised; quantile: to a normal",
    )


class Vector(Config):
    """A fixed-size list of floats, used as it is: a ready-made embedding. Null becomes zeros."""

    kind: Literal["vector"] = "vector"
    column: str | None = None
    size: int = Field(ge=1)


class Cross(_Embedded):
    """The combination of several columns as one id; null where any of them is null."""

    kind: Literal["cross"] = "cross"
    of: tuple[str, ...] = Field(min_length=2, description="columns to combine")

    @model_validator(mode="after")
    def _no_column(self) -> "Cross":
        if self.column is not None:
            raise ValueError("a cross reads the columns in `of`: drop `column`")
        if self.init is not None:
            raise ValueError("init is joined by the values of one column: a cross has none, drop init")
        return self


class Computed(Config, ABC):
    """What a plug-in's kinds are: numbers that a method makes of numeric columns, used as they are.

    `size` says how many: a ClassVar, or a property that follows from the options.
    """

    kind: str
    of: tuple[str, ...] = Field(default=(), description="columns to read; default: the feature's name")

    @property
    @abstractmethod
    def size(self) -> int:
        """Numbers a row."""

    @abstractmethod
    def compute(self, columns: "Mapping[str, np.ndarray]") -> "np.ndarray":
        """(B, size) finite numbers from the columns by name, (B,) float64 each with NaN for null."""


Feature = Annotated[
    Categorical | Bag | History | Numeric | Vector | Cross | Rate | Count | Computed,
    Field(discriminator="kind"), Plugged("recmtl.features", Computed),
]


def is_embedded(feature: Feature) -> bool:
    """Whether the feature looks up rows of a table."""
    return isinstance(feature, _Embedded)


def is_list(feature: Feature) -> bool:
    """Whether it looks up several rows for one impression."""
    return isinstance(feature, Bag | History)


def embedding_widths(features: Mapping[str, Feature], width: int) -> dict[str, int]:
    """Each feature that looks up rows, a name or a pattern → the columns of its embedding.

    `width` is that of features without one of their own.
    """
    looked_up = {name: f for name, f in features.items() if isinstance(f, _Embedded)}
    owners = {name: looked_up.get(f.share or name, f) for name, f in looked_up.items()}
    return {name: owner.width or width for name, owner in owners.items()}


def has_wildcard(name: str) -> bool:
    """Whether a feature's name is a pattern."""
    return any(sign in name for sign in "*?[")


def named_by(name: str, features: Iterable[str]) -> str | None:
    """Which of the features (names or patterns) is, or may have, this one; a name wins over a pattern."""
    known = list(features)
    if name in known:
        return name
    return next((key for key in known if fnmatchcase(name, key)), None)


def columns_of(name: str, feature: Feature) -> tuple[str, ...]:
    """The source columns that a feature reads; of a rate or count, its keys."""
    if isinstance(feature, Computed):
        return feature.of or (name,)
    return feature.of if isinstance(feature, Cross | Rate | Count) else (feature.column or name,)


def inputs_of(name: str, feature: Feature) -> tuple[str, ...]:
    """The columns that the encoder reads: of a rate or count, those that are joined to a row."""
    return feature.inputs(name) if isinstance(feature, Rate | Count) else columns_of(name, feature)


def resolve_features(
    features: Mapping[str, Feature], columns: Iterable[str], forbidden: Mapping[str, str]
) -> dict[str, Feature]:
    """Patterns such as `onehot_feat*` replaced by one feature a matching column.

    `columns` are those of the joined log; `forbidden` maps columns that must not be features
    (labels, outcomes) to the reason. A feature named outright wins over a pattern, and a pattern
    passes over forbidden columns; a forbidden column named outright is an error, as is a missing one.
    """
    known = list(columns)
    resolved: dict[str, Feature] = {}
    for name, feature in features.items():
        if has_wildcard(name):
            every = [c for c in known if fnmatchcase(c, name)]
            matches = [c for c in every if c not in forbidden]
            if not matches:
                raise RecmtlError(
                    "the pattern matches no column that may be a feature", where=f"[features] {name!r}",
                    found="; ".join(f"{c} is {forbidden[c]}" for c in every) or ", ".join(known),
                )
            resolved |= {c: feature for c in matches if c not in features}
            continue
        for column in columns_of(name, feature):
            if column in forbidden:
                raise RecmtlError(
                    f"the column {column!r} is {forbidden[column]}: the model would read the answer",
                    where=f"[features] {name}", fix="remove the feature",
                )
            if column not in known:
                raise RecmtlError(
                    f"no column {column!r} in the log or its side tables",
                    where=f"[features] {name}", fix=nearest(column, known),
                )
        resolved[name] = feature
    return resolved
