"""The columns that are looked at, and how each is read: a manifest of examples goes in."""

from collections.abc import Mapping
from dataclasses import dataclass

from recmtl.data.contract.joined import Joined
from recmtl.data.contract.sample import Kind
from recmtl.data.examples import Examples
from recmtl.schema import Problem
from recmtl.schema.features import columns_of


@dataclass(frozen=True)
class Columns:
    """Columns of examples by their use, each with its kind."""

    features: Mapping[str, Kind]
    labels: Mapping[str, Kind]
    keys: tuple[str, ...]
    types: Mapping[str, str]  # DuckDB's, as the manifest has them
    rates: Joined | None = None  # what gives those features that the examples' files lack

    @classmethod
    def of(cls, problem: Problem, examples: Examples) -> "Columns":
        """Raises RecmtlError where rates are read that are not there, or are of other examples."""
        types, data = examples.manifest["columns"], problem.data
        rates = Joined(examples)
        read = [c for name, feature in examples.features.items() for c in columns_of(name, feature)]
        numbers: dict[str, Kind] = dict.fromkeys(rates.columns, "number")
        named = [c for c in (data.impressions.id, *data.keys, data.group, data.together) if c]
        return cls(
            {c: _kind(types[c]) for c in dict.fromkeys(read) if c in types} | numbers,
            {label: _kind(types[label]) for label in problem.labels},
            tuple(dict.fromkeys(c for c in named if c in types)), types,
            rates if numbers else None,
        )

    @property
    def measured(self) -> dict[str, Kind]:
        """Features and labels."""
        return {**self.features, **self.labels}

    @property
    def stored(self) -> dict[str, Kind]:
        """Those of them that the files of examples hold."""
        joined = self.rates.columns if self.rates else ()
        return {name: kind for name, kind in self.measured.items() if name not in joined}

    def settled(self, name: str, before: str, day: str) -> bool:
        """Whether a day's values can be held against an earlier one's: a rate has begun to be known by
        then, and is counted from enough days."""
        if self.rates is None or name not in self.rates.columns:
            return True
        return self.rates.counted(name, before)[1] and self.rates.counted(name, day)[1]

    def begun(self, name: str, day: str) -> bool:
        """Whether anything can be known of the column on a day."""
        return self.rates is None or name not in self.rates.columns or (
            self.rates.counted(name, day)[0] > 0
        )

    def sound(self, types: Mapping[str, str]) -> bool:
        """Whether files with these types hold what they should."""
        return all(types.get(name) == wanted for name, wanted in self.types.items())


def _kind(type_: str) -> Kind:
    if type_.endswith("]"):
        return "vector" if type_.startswith("FLOAT") else "lists"
    return "ids" if type_ in ("BIGINT", "VARCHAR") else "number"
