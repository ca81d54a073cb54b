"""Parquet files: what a query wants of them in, a frame with each row's file and number out; and back."""

import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from glob import glob
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f
from sqlglot import exp

from recmtl.data.database import Refusal
from recmtl.data.spark.types import spark_type

ROW = "file_row_number"


@dataclass(frozen=True)
class Wanted:
    """A read_parquet of a query: its files, the column for their path, and whether rows are numbered.

    What folders give is no matter of it: statements for Spark take that from the path themselves.
    """

    paths: tuple[str, ...]
    path: str | None
    numbered: bool

    @classmethod
    def of(cls, table: exp.Table) -> "Wanted":
        """Where rows are numbered the query's `*` is told to pass the number over, as in DuckDB."""
        files, *told = table.this.expressions
        options = {option.this.name: option.expression for option in told}
        select = table.find_ancestor(exp.Select)
        numbered = bool(select and any(c.name == ROW for c in select.find_all(exp.Column)))
        for star in select.expressions if select and numbered else ():
            if isinstance(star, exp.Star):
                star.append("except_", exp.column(ROW))
        name = options.get("filename")
        paths = [file.name for file in files.expressions] if isinstance(files, exp.Array) else (
            sorted(glob(files.name))
        )
        return cls(tuple(paths), name and name.name, numbered)

    def empty(self) -> str:
        """DuckDB's statement that tells which files have which columns of no type, all null."""
        told = f"parquet_schema({self._list()})"
        return f"SELECT file_name, name FROM {told} WHERE logical_type = 'NullType()'"

    def describe(self) -> str:
        """DuckDB's statement that tells the columns of the files."""
        options = "union_by_name = true, hive_partitioning = false"
        return f"DESCRIBE SELECT * FROM read_parquet({self._list()}, {options})"

    def _list(self) -> str:
        return exp.convert(list(self.paths)).sql(dialect="duckdb")


def read(
    session: SparkSession, wanted: Wanted, types: Mapping[str, str], empty: Iterable[tuple[str, str]]
) -> DataFrame:
    """The columns of `types` (name → DuckDB's type), and those that are wanted of the files.

    `empty` are files and columns of no type, which Spark cannot read as another. Raises Refusal for a
    file that Spark would pass over.
    """
    for file in wanted.paths:
        if os.path.basename(file).startswith(("_", ".")):
            raise Refusal(f"Spark reads no file whose name begins with _ or a dot: {file}")
    lacking = {file: frozenset(name for of, name in empty if of == file) for file, _ in empty}
    groups: dict[frozenset[str], list[str]] = {}
    for file in wanted.paths:
        groups.setdefault(lacking.get(file, frozenset()), []).append(file)
    frames = [_read(session, wanted, files, types, names) for names, files in groups.items()]
    return reduce(DataFrame.unionAll, frames)


def _read(
    session: SparkSession, wanted: Wanted, files: Sequence[str], types: Mapping[str, str],
    empty: Collection[str],
) -> DataFrame:
    known = {name: kind for name, told in types.items() if (kind := spark_type(told))}
    fields = [f"{_quoted(name)} {kind}" for name, kind in known.items() if name not in empty]
    frame = session.read.schema(", ".join(fields)).parquet(*map(_pattern, files))
    columns = [
        f.expr(f"CAST(NULL AS {kind})").alias(name) if name in empty else _column(name, types[name])
        for name, kind in known.items()
    ]
    return frame.select(*columns, *_of_file(wanted))


def write(frame: DataFrame, file: Path) -> None:
    """Write a file. One called part-… may become several, in order: part-…-00000, part-…-00001, …"""
    scratch, several = file.with_name(f"{file.name}.tmp"), file.name.startswith("part-")
    frame = frame if several else frame.coalesce(1)
    frame.write.option("compression", "lz4_raw").parquet(_url(str(scratch)))
    parts = sorted(scratch.glob("part-*.parquet"))
    for number, part in enumerate(parts):
        name = file.name if len(parts) == 1 else f"{file.stem}-{number:05d}{file.suffix}"
        part.rename(file.with_name(name))
    shutil.rmtree(scratch)


def _url(path: str) -> str:
    """A path as Hadoop reads it, whatever its default file system is."""
    if "://" in path:
        return path.replace("s3://", "s3a://", 1)
    return f"file://{os.path.abspath(path)}"


def _pattern(path: str) -> str:
    """A path that is one where Spark takes patterns."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", _url(path))


def _column(name: str, told: str) -> Column:
    if told == "TIMESTAMP_NS":
        time = f"CAST(timestamp_micros({_quoted(name)} DIV 1000) AS TIMESTAMP_NTZ)"
        return f.expr(time).alias(name)
    return f.col(_quoted(name))


def _of_file(wanted: Wanted) -> Iterator[Column]:
    """A row's number in its file, and the file's path as it was given."""
    if wanted.numbered:
        yield f.col("_metadata.row_index").alias(ROW)
    file = f.replace(f.col("_metadata.file_path"), f.lit("+"), f.lit("%2B"))
    path = f.regexp_replace(f.url_decode(file), "^file:/+", "/")
    if wanted.path:
        yield f.regexp_replace(path, "^s3a://", "s3://").alias(wanted.path)


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"
