"""Parquet files read as one table: patterns go in, a named view with checked column types comes out."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import unquote

import duckdb
from sqlglot import exp

from recmtl.data.database import FAILURES, Database
from recmtl.data.duck import engine_errors
from recmtl.data.labels import Expression
from recmtl.data.logs.files import attach
from recmtl.data.logs.values import family
from recmtl.data.query import expression, statement, text, tree
from recmtl.errors import RecmtlError, alike, nearest

_BY_WIDTH = (
    "TINYINT", "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER", "UINTEGER", "BIGINT", "UBIGINT",
    "HUGEINT", "UHUGEINT", "FLOAT", "DOUBLE",
)
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # a folder's name for null


@dataclass(frozen=True)
class Table:
    """A view over files of one schema; `where` is its key in the configuration, `kept` the condition
    that leaves rows of the files out."""

    name: str
    where: str
    files: tuple[str, ...]
    types: Mapping[str, Mapping[str, str]]  # column → file → DuckDB type
    kept: Expression | None = None

    @property
    def every(self) -> str:
        """The view of all rows of the files, where some are left out."""
        return f"every_{self.name}"

    @property
    def key(self) -> str:
        """Its key in the configuration, without the path."""
        return self.where.partition(" (")[0]

    def type_of(self, column: str, used_by: str) -> str:
        """The column's type. Raises RecmtlError where a file lacks it or has it in another type."""
        if column not in self.types:
            raise RecmtlError(
                f"no column {column!r} in {self.where} ({self.files[0]})", where=used_by,
                expected=f"a column {column!r}", found=f"columns {alike(column, self.types)}",
                fix=nearest(column, self.types),
            )
        found = self.types[column]
        lacking = [file for file in self.files if file not in found]
        if lacking:
            raise RecmtlError(
                f"no column {column!r}, which other files of {self.where} have",
                where=lacking[0], expected=f"it in all {len(self.files)} files: {used_by} reads it",
                found=f"{len(lacking)} files without it",
                fix="write it in each of them, nulls where there is no value",
            )
        first = next((f for f in self.files if _is_known(found[f])), self.files[0])
        for file in self.files:
            if _is_known(found[file]) and family(found[file]) != family(found[first]):
                raise RecmtlError(
                    f"the column {column!r} has type {found[file]}", where=file,
                    expected=f"{found[first]}, as in {first}",
                    fix="write the column with one type in all files",
                )
        return max((found[file] for file in self.files), key=_width)


def _is_known(kind: str) -> bool:
    """Not where a file holds nulls, or empty lists, alone: it says nothing of the type."""
    return family(kind) not in ("null", "list of null")


def _width(kind: str) -> int:
    return _BY_WIDTH.index(kind) if kind in _BY_WIDTH else len(_BY_WIDTH) * _is_known(kind)


def open_table(
    db: Database, name: str, where: str, files: tuple[str, ...]
) -> Table:
    """Create the view `name` over the files. Raises RecmtlError naming a file that is no Parquet."""
    attach(db, files)
    types: dict[str, dict[str, str]] = {}
    for file in files:
        described = {name: kind for name, kind, *_ in _describe(db, file)}
        for column, kind in (dict.fromkeys(partitions((file,)), "VARCHAR") | described).items():
            types.setdefault(column, {})[file] = kind
    narrow(db, name, files)
    return Table(name, where, files, types)


def _describe(db: Database, file: str) -> list[tuple[str, ...]]:
    try:
        return db.execute(statement("describe", paths=exp.convert([file]))).fetchall()
    except duckdb.Error as error:
        raise RecmtlError(
            f"cannot be read as Parquet: {str(error).partition(chr(10))[0]}",
            where=file, fix="write or copy the file again",
        ) from error


def partitions(files: Iterable[str]) -> tuple[str, ...]:
    """The columns that folders such as dt=2024-01-01 give to each of the files."""
    found = [dict.fromkeys(p.partition("=")[0] for p in f.split("/")[:-1] if "=" in p) for f in files]
    return tuple(key for key in (found or [{}])[0] if key and all(key in keys for keys in found))


def in_folders(file: str) -> str:
    """A file's name behind those of its partitions' folders, without which many have one name."""
    *folders, name = file.split("/")
    first = next((place for place, part in enumerate(folders) if "=" in part), len(folders))
    return "/".join([*folders[first:], name])


def partition_values(file: str) -> dict[str, str | None]:
    """The same for one file, each with its value there: what partition.sql says of a path."""
    parts = [part.partition("=") for part in file.split("/")[:-1]]
    found: dict[str, str | None] = {}
    for key in partitions((file,)):
        value = unquote(next(value for name, _, value in parts if name == key))
        found[key] = None if value == NO_VALUE else value
    return found


@contextmanager
def naming_damage(db: Database, files: Iterable[str]) -> Iterator[None]:
    """Where DuckDB fails inside, name the first file that cannot be read to its end, if it is one."""
    try:
        yield
    except FAILURES:
        for file in files:
            try:
                db.execute(statement("read_through", paths=exp.convert([file]))).fetchall()
            except duckdb.Error as error:
                raise RecmtlError(
                    f"is damaged: {str(error).partition(chr(10))[0]}",
                    where=file, fix="write or copy the file again",
                ) from error
        raise


def narrow(db: Database, name: str, files: Iterable[str]) -> None:
    """Point the view `name` at some of its files; a column of theirs wins over a folder's."""
    paths = list(files)
    view = tree("read", log=exp.to_table(name), paths=exp.convert(paths))
    for key in partitions(paths):
        pattern = exp.convert(f"/{re.escape(key)}=([^/]*)/")
        value = expression("partition", "value", pattern=pattern)
        view.expression.select(exp.alias_(value, key, quoted=True), copy=False)
    with engine_errors(name):
        db.execute(text(view))
