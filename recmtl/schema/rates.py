"""Feature kinds counted on earlier days: a key's share of positives, and how often it was seen."""

from typing import Literal

from pydantic import Field, field_validator

from recmtl.schema.config import Config


class _Earlier(Config):
    """What is counted for the rows that agree in the columns `of`, before a row's day began."""

    of: tuple[str, ...] = Field(min_length=1, description="key columns; null where one is null")
    days: int | None = Field(default=None, ge=1, description="so many earlier days; default: all")

    @field_validator("of")
    @classmethod
    def _each_once(cls, of: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(of)) < len(of):
            raise ValueError(f"a column stands there twice: {', '.join(of)}")
        return of


class Rate(_Earlier):
    """(positives + prior · global rate) / (rows + prior): the rows where `given` is 1, if given."""

    kind: Literal["rate"] = "rate"
    label: str
    given: str | None = None
    prior: float = Field(default=20.0, gt=0.0, description="so many rows of the global rate")

    def inputs(self, name: str) -> tuple[str, ...]:
        """The joined columns: the rate, and the number of rows that it rests on."""
        return name, f"{name}.n"


class Count(_Earlier):
    """How many rows, or with a label how many positives; log1p, then standardised."""

    kind: Literal["count"] = "count"
    label: str | None = None

    def inputs(self, name: str) -> tuple[str, ...]:
        """The joined column."""
        return (name,)
