"""Opened examples: a folder that ingest wrote goes in, SQL for the rows of a part comes out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from sqlglot import exp

from recmtl.data.day_files import UNDATED, day_files
from recmtl.data.query import column, dated, text, tree
from recmtl.data.rates.join import join, needed, rows_need
from recmtl.data.rates.opened import Rates
from recmtl.data.rates.states import rated
from recmtl.data.split import hashes, part_tree
from recmtl.errors import RecmtlError, nearest
from recmtl.folder import read_manifest
from recmtl.schema import Feature, Split

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

    def select(
        self, split: Split | None = None, part: str | None = None,
        columns: Sequence[str] | None = None, days: Sequence[date] | None = None,
        ordered: bool = True,
    ) -> str:
        """SQL for the rows of a part, or for all rows, in the order day, file, row.

        DuckDB keeps that order where the result is fetched, streamed or copied. `columns` are those
        of `columns`, and `dt` where rows have a day; all but `dt` by default. Rows with rates are
        sorted, unless their order is no matter: better a few of `days` at a time.
        """
        names = self._known(self.columns if columns is None else columns)
        if (split is None) != (part is None) or part not in (None, *PARTS):
            raise ValueError(f"give a split and one of {PARTS}, or neither")
        nodes = {"part_of_row": self._part_of(split), "part": exp.convert(part or "all")}
        return self._query("select", nodes, names, days, ordered)

    def select_parts(
        self, split: Split, columns: Sequence[str], days: Sequence[date] | None = None
    ) -> str:
        """The same for the rows of all parts, each read once; the first column, `_part`, names it.

        Where a hash tells the part, rows of no part are among them, with a null there: to leave them out
        would be to compute it twice.
        """
        part = self._part_of(split)
        wanted = exp.true() if hashes(split) else part.is_(exp.null()).not_()
        nodes = {"part_of_row": part, "wanted": wanted}
        return self._query("select_parts", nodes, [PART, *self._known(columns)], days)

    def _known(self, columns: Iterable[str]) -> list[str]:
        names, known = list(columns), [*self.columns, *([DAY] if self.dated else [])]
        for name in names:
            if name not in known:
                raise RecmtlError(
                    f"examples have no column {name!r}", where=self.folder, fix=nearest(name, known)
                )
        return names

    def _query(
        self, file: str, nodes: Mapping[str, exp.Expr], names: Sequence[str],
        days: Sequence[date] | None, ordered: bool = True,
    ) -> str:
        """SQL for columns of the rows that `sql/FILE.sql` selects, and of the rates that they need."""
        if not self.rated(names):
            return text(self._rows(file, nodes, names, days))
        rates, days = self.rates, self.days if days is None else days
        states = needed(names, rates.states(rated(self.features)))
        plain = self._rows(file, nodes, rows_need(names, states), days)
        tables = {state: dated(rates.files(state, days)) for state in states}
        query = join(plain, names, states, rates.keys, tables)
        if not ordered:
            query.set("order", None)
        return text(query)

    def rated(self, columns: Iterable[str]) -> bool:
        """Whether any of the columns is joined from rates."""
        return any(name not in self.manifest["columns"] and name not in (DAY, PART) for name in columns)

    def _rows(
        self, file: str, nodes: Mapping[str, exp.Expr], names: Sequence[str],
        days: Sequence[date] | None,
    ) -> exp.Select:
        """Of the examples alone."""
        query = tree(file, rows_of_days=dated(self.files(days), "examples"), **nodes)
        assert isinstance(query, exp.Select)
        given = [e for e in query.expressions if e.alias == PART]
        return query.select(*given, *(column(n) for n in names if n != PART), append=False)

    def _part_of(self, split: Split | None) -> exp.Expr:
        if split is None:
            return exp.convert("all")
        sources = [source["path"] for source in self.manifest["sources"]]
        return part_tree(split, sources, self.manifest["zone"])
