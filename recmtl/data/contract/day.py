"""A day as it was measured and counted, and as contract.json keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recmtl.data.contract.funnels import Breaks, breaks_from_json, breaks_to_json
from recmtl.data.contract.measured import Column

FIRST, BEFORE = "first", "before"


@dataclass(frozen=True)
class Day:
    """Of the examples: `labels` has positives and nulls of each, `types` what the files hold.

    Of the log: rows that are `repeated`, and those of them that are `equal` in every column, None where
    that was not read; `again`, those whose id stands on an earlier day; and `outcomes`, the breaks of its
    columns of 0 and 1. `key`: what it was made from.
    """

    name: str
    rows: int
    labels: Mapping[str, Mapping[str, int]]
    types: Mapping[str, str]
    breaks: Breaks = field(default_factory=dict)
    columns: Mapping[str, Column] = field(default_factory=dict)
    repeated: int | None = None
    equal: int | None = None
    again: int = 0
    outcomes: Breaks = field(default_factory=dict)
    key: str = ""

    def to_json(self) -> dict[str, Any]:
        columns = {name: column.to_json() for name, column in self.columns.items()}
        return {
            **vars(self), "columns": columns, "breaks": breaks_to_json(self.breaks),
            "outcomes": breaks_to_json(self.outcomes),
        }

    @classmethod
    def from_json(cls, read: Mapping[str, Any]) -> "Day":
        columns = {name: Column.from_json(column) for name, column in read["columns"].items()}
        return cls(**{
            **read, "columns": columns, "breaks": breaks_from_json(read["breaks"]),
            "outcomes": breaks_from_json(read["outcomes"]),
        })
