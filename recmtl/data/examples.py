"""Opened examples: what a folder that ingest wrote says of its rows; `selection` gives SQL for them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from recmtl.data.day_files import UNDATED, day_files
from recmtl.data.rates.opened import Rates
from recmtl.data.rates.states import rated
from recmtl.errors import RecmtlError
from recmtl.folder import read_manifest
from recmtl.schema import Feature

PARTS, PART = ("train", "valid", "test"), "_part"
DAY = "dt"  # what a row's day is called in SQL
_FEATURE: TypeAdapter[Feature] = TypeAdapter(Feature)


@dataclass(frozen=True)
class Examples:
    """A whole folder of examples: a row an impression, see `recmtl.data.ingest`.

    The numbers of rates and counts are not in it: they are joined from the folder `rates` beside it.
    """

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> "Examples":
        """Raises RecmtlError where the folder is missing or unfinished."""
        return cls(Path(folder), read_manifest(folder))

    @property
    def features(self) -> dict[str, Feature]:
        """The features with patterns resolved."""
        return {n: _FEATURE.validate_python(f) for n, f in self.manifest["features"].items()}

    @property
    def columns(self) -> dict[str, str]:
        """Column → DuckDB type; those that are joined from rates are among them."""
        inputs = [c for name, f in rated(self.features).items() for c in f.inputs(name)]
        return {**self.manifest["columns"], **dict.fromkeys(inputs, "DOUBLE")}

    @property
    def dated(self) -> bool:
        """Whether rows have a day, called `dt` in SQL."""
        return UNDATED not in self.manifest["days"]

    @property
    def days(self) -> list[date]:
        """The days that have rows, where rows have a day."""
        return [date.fromisoformat(day) for day in sorted(self.manifest["days"])] if self.dated else []

    @cached_property
    def rates(self) -> Rates:
        """The rates counted from these examples. Raises RecmtlError where they are of others."""
        rates = Rates.open(self.folder.with_name("rates"))
        if rates.manifest["examples"] != self.manifest["key"]:
            raise RecmtlError(
                "counted from other examples than there are now", where=rates.folder,
                fix="run `recmtl ingest` again",
            )
        return rates

    def files(self, days: Sequence[date] | None = None) -> list[str]:
        """The Parquet files in the order of days, all days by default."""
        names = self.manifest["days"] if days is None else [day.isoformat() for day in days]
        return [file for name in sorted(names) for file in day_files(self.folder, name)]

    def rated(self, columns: Iterable[str]) -> bool:
        """Whether any of the columns is joined from rates."""
        return any(name not in self.manifest["columns"] and name not in (DAY, PART) for name in columns)
