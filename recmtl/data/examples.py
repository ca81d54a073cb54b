"""Opened examples: a folder that ingest wrote goes in, SQL for the rows of a part comes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from sqlglot import exp

from recmtl.data.query import column, text, tree
from recmtl.data.split import part_tree
from recmtl.errors import RecmtlError, nearest
from recmtl.folder import read_manifest
from recmtl.schema import Feature, Split

PARTS = ("train", "valid", "test")
_FEATURE: TypeAdapter[Feature] = TypeAdapter(Feature)


@dataclass(frozen=True)
class Examples:
    """A whole folder of examples: a row an impression, see `recmtl.data.ingest`."""

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
        """Column → DuckDB type."""
        return dict(self.manifest["columns"])

    @property
    def dated(self) -> bool:
        """Whether rows have a day, called `dt` in SQL."""
        return "undated" not in self.manifest["days"]

    def files(self) -> list[str]:
        """The Parquet files in the order of days."""
        names = [f"dt={day}" if self.dated else day for day in sorted(self.manifest["days"])]
        return [str(f) for n in names for f in sorted((self.folder / n).glob("*.parquet"))]

    def select(
        self, split: Split | None = None, part: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> str:
        """SQL for the rows of a part, or for all rows, in the order day, file, row.

        DuckDB keeps that order where the result is fetched, streamed or copied. `columns` are those
        of the manifest, and `dt` where rows have a day; all but `dt` by default.
        """
        names = list(self.columns if columns is None else columns)
        known = [*self.columns, *(["dt"] if self.dated else [])]
        for name in names:
            if name not in known:
                raise RecmtlError(
                    f"examples have no column {name!r}", where=self.folder, fix=nearest(name, known)
                )
        if (split is None) != (part is None) or part not in (None, *PARTS):
            raise ValueError(f"give a split and one of {PARTS}, or neither")
        query = tree(
            "select", files=exp.convert(self.files()), dated=exp.convert(self.dated),
            part_of_row=self._part_of(split), part=exp.convert(part or "all"),
        )
        assert isinstance(query, exp.Select)
        return text(query.select(*map(column, names), append=False))

    def _part_of(self, split: Split | None) -> exp.Expr:
        if split is None:
            return exp.convert("all")
        sources = [source["path"] for source in self.manifest["sources"]]
        return part_tree(split, sources, self.manifest["zone"])
