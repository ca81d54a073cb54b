"""Parquet files read as one table: patterns go in, a named view with checked column types comes out."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

import duckdb
from sqlglot import exp

from recmtl.data.duck import duck_errors
from recmtl.data.logs.values import family
from recmtl.data.query import statement
from recmtl.errors import RecmtlError, nearest
from recmtl.schema import Problem

_BY_WIDTH = (
    "TINYINT", "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER", "UINTEGER", "BIGINT", "UBIGINT",
    "HUGEINT", "UHUGEINT", "FLOAT", "DOUBLE",
)


@dataclass(frozen=True)
class Table:
    """A view over files of one schema; `where` is its key in the configuration."""

    name: str
    where: str
    files: tuple[str, ...]
    types: Mapping[str, Mapping[str, str]]  # column → file → DuckDB type

    def type_of(self, column: str, used_by: str) -> str:
        """The column's type. Raises RecmtlError where a file lacks it or has it in another type."""
        if column not in self.types:
            raise RecmtlError(
                f"no column {column!r} in {self.where} ({self.files[0]})",
                where=used_by, fix=nearest(column, self.types),
            )
        found = self.types[column]
        lacking = [file for file in self.files if file not in found]
        if lacking:
            raise RecmtlError(
                f"no column {column!r}, which other files of {self.where} have",
                where=lacking[0], fix=f"{used_by} reads it in every file",
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


def find(problem: Problem, patterns: Iterable[str], where: str) -> tuple[str, ...]:
    """The files that patterns name, sorted within a pattern, each once. Raises RecmtlError for none."""
    files: dict[str, None] = {}
    for pattern in patterns:
        path = problem.path(pattern)
        if "://" in path:
            raise RecmtlError("only local files can be read", where=where, found=path)
        if Path(path).is_dir():
            raise RecmtlError(
                f"{path} is a folder", where=where, fix=f'name its files, e.g. "{pattern}/*.parquet"'
            )
        matches = [path] if Path(path).is_file() else sorted(glob(path, recursive=True))
        matches = [m for m in matches if Path(m).is_file()]
        if not matches:
            raise RecmtlError(
                f"no file matches {path}" if has_magic(path) else f"no file {path}",
                where=where, fix="check the path and the environment variables in it",
            )
        files |= dict.fromkeys(matches)
    return tuple(files)


def open_table(
    db: duckdb.DuckDBPyConnection, name: str, where: str, files: tuple[str, ...]
) -> Table:
    """Create the view `name` over the files. Raises RecmtlError naming a file that is no Parquet."""
    types: dict[str, dict[str, str]] = {}
    for file in files:
        with duck_errors(file):
            described = db.execute("DESCRIBE SELECT * FROM read_parquet(?)", [[file]]).fetchall()
        for column, kind, *_ in described:
            types.setdefault(column, {})[file] = kind
    narrow(db, name, files)
    return Table(name, where, files, types)


@contextmanager
def naming_damage(db: duckdb.DuckDBPyConnection, files: Iterable[str]) -> Iterator[None]:
    """Where DuckDB fails inside, name the first file that cannot be read to its end, if it is one."""
    try:
        yield
    except duckdb.Error:
        for file in files:
            try:
                db.execute(statement("read_through", paths=exp.convert([file]))).fetchall()
            except duckdb.Error as error:
                raise RecmtlError(
                    f"is damaged: {str(error).partition(chr(10))[0]}",
                    where=file, fix="write or copy the file again",
                ) from error
        raise


def narrow(db: duckdb.DuckDBPyConnection, name: str, files: Iterable[str]) -> None:
    """Point the view `name` at some of its files."""
    with duck_errors(name):
        db.execute(statement("read", log=exp.to_table(name), paths=exp.convert(list(files))))
