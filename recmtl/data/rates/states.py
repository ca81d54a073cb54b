"""Rate and count features in, the tables that their numbers are read from out."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from recmtl.schema import Count, Feature, Rate

Rated = Rate | Count


@dataclass(frozen=True)
class Measure:
    """What is counted for a key: rows with a known label, positives; without a label, all rows."""

    label: str | None
    given: str | None = None

    @property
    def columns(self) -> tuple[str, str]:
        """The names of both numbers in a state's table, which no column of a log is likely to have."""
        space = f"{self.label} | {self.given}" if self.given else self.label or "*"
        return f"rows({space})", f"positives({space})"


@dataclass(frozen=True)
class State:
    """A table a day: a row a key, with two numbers a measure, summed over `days` earlier days.

    A row of the log counts from the first day on that begins `horizon` seconds after it.
    """

    keys: tuple[str, ...]
    days: int | None
    horizon: int
    measures: tuple[Measure, ...]

    @property
    def file(self) -> str:
        """Its file in the folder of a day."""
        window = f" {self.days}d" if self.days else ""
        late = f" after {self.horizon}s" if self.horizon else ""
        return f"{quote('+'.join(self.keys), safe=' +')}{window}{late}.parquet"


def rated(features: Mapping[str, Feature]) -> dict[str, Rated]:
    """The features that are read from states."""
    return {name: f for name, f in features.items() if isinstance(f, Rate | Count)}


def measure_of(feature: Rated) -> Measure:
    """The numbers that a feature is made of."""
    return Measure(feature.label, feature.given if isinstance(feature, Rate) else None)


def states_of(
    features: Mapping[str, Rated], horizons: Mapping[str, int]
) -> dict[State, dict[str, Rated]]:
    """Each state with its features: those of the same keys, days and horizon share one.

    `horizons` are those of the labels, in seconds; a label space is known when both labels are.
    """
    shared: dict[tuple[tuple[str, ...], int | None, int], dict[str, Rated]] = {}
    for name, feature in features.items():
        measure = measure_of(feature)
        horizon = max(horizons[label] if label else 0 for label in (measure.label, measure.given))
        place = tuple(sorted(feature.of)), feature.days, horizon
        shared.setdefault(place, {})[name] = feature
    return {
        State(*place, tuple(dict.fromkeys(measure_of(f) for f in users.values()))): users
        for place, users in shared.items()
    }
