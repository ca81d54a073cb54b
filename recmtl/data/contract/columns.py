"""The columns that are looked at, and how each is read: a manifest of examples goes in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from recmtl.schema import Feature, Problem
from recmtl.schema.features import columns_of

Kind = Literal["number", "ids", "lists", "vector"]
_FEATURE: TypeAdapter[Feature] = TypeAdapter(Feature)


@dataclass(frozen=True)
class Columns:
    """Columns of examples by their use, each with its kind."""

    features: Mapping[str, Kind]
    labels: Mapping[str, Kind]
    keys: tuple[str, ...]
    types: Mapping[str, str]  # DuckDB's, as the manifest has them

    @classmethod
    def of(cls, problem: Problem, manifest: Mapping[str, Any]) -> "Columns":
        """Rates and counts are not among them: they are joined from what the days before knew."""
        types, data = manifest["columns"], problem.data
        read = [
            column
            for name, feature in manifest["features"].items()
            for column in columns_of(name, _FEATURE.validate_python(feature))
        ]
        named = [c for c in (data.impressions.id, *data.keys, data.group) if c]
        return cls(
            {c: _kind(types[c]) for c in dict.fromkeys(read) if c in types},
            {label: _kind(types[label]) for label in problem.labels},
            tuple(dict.fromkeys(c for c in named if c in types)), types,
        )

    @property
    def measured(self) -> dict[str, Kind]:
        """Features and labels."""
        return {**self.features, **self.labels}

    def sound(self, types: Mapping[str, str]) -> bool:
        """Whether files with these types hold what they should."""
        return all(types.get(name) == wanted for name, wanted in self.types.items())


def _kind(type_: str) -> Kind:
    if type_.endswith("]"):
        return "vector" if type_.startswith("FLOAT") else "lists"
    return "ids" if type_ in ("BIGINT", "VARCHAR") else "number"
