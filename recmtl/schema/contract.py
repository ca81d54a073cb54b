"""What a log is held to: for each check, from which value on a finding is a note, a warning, an error."""

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from recmtl.schema.config import Config

Level = Literal["error", "warning", "note"]


class Limits(Config):
    """The values from which on a finding is of a level; a level without a value is never reached."""

    note: float | None = Field(default=None, ge=0.0)
    warning: float | None = Field(default=None, ge=0.0)
    error: float | None = Field(default=None, ge=0.0)

    @model_validator(mode="after")
    def _ordered(self) -> "Limits":
        found = [limit for limit in (self.note, self.warning, self.error) if limit is not None]
        if found != sorted(found):
            raise ValueError("note <= warning <= error is needed")
        return self

    def level(self, value: float) -> Level | None:
        """The gravest level that a value reaches. Nothing found is never a finding."""
        limits: tuple[tuple[Level, float | None], ...] = (
            ("error", self.error), ("warning", self.warning), ("note", self.note),
        )
        return next((n for n, limit in limits if limit is not None and 0 < value >= limit), None)


class Contract(Config):
    """The `[contract]` section. A level that is left out keeps its default."""

    rows: Limits = Field(
        default=Limits(warning=3.0),
        description="rows of a day over the median of the days before it, or that median over them",
    )
    rates: Limits = Field(
        default=Limits(note=0.05, warning=0.2),
        description="change of a column's share of nulls, zeros or unknown values since the day before",
    )
    labels: Limits = Field(
        default=Limits(note=0.25, warning=0.5),
        description="relative change of a label's rate since the day before",
    )
    duplicates: Limits = Field(
        default=Limits(note=0.0, warning=0.001), description="share of rows that repeat another"
    )
    events: Limits = Field(
        default=Limits(note=0.0, warning=0.01, error=0.5),
        description="share of a source's events that are repeated, orphans, too early or too late",
    )
    future: Limits = Field(
        default=Limits(warning=0.0, error=0.01),
        description="share of impressions, and of a source's events, that are later than now",
    )
    funnel: Limits = Field(
        default=Limits(note=0.0, warning=0.05),
        description="share of a label's or outcome's positives where an earlier step is 0",
    )
    distinct: Limits = Field(
        default=Limits(warning=0.9), description="distinct values a row of a categorical column"
    )
    growth: Limits = Field(
        default=Limits(note=2.0, warning=4.0), description="distinct values over those of the day before"
    )
    drift: Limits = Field(
        default=Limits(note=0.1, warning=0.25),
        description="population stability index against the day before, and against the first day",
    )
    leakage: Limits = Field(
        default=Limits(warning=0.95, error=0.99), description="AUC of one column alone for a label"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _keep_defaults(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, dict) and info.field_name:
            default: Limits = cls.model_fields[info.field_name].default
            return {**default.model_dump(), **value}
        return value
