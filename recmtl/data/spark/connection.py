"""A session of Spark that answers as a connection of DuckDB does, to statements in DuckDB's dialect.

Views are looked up when they are read, as DuckDB does. What files say of themselves (their types, their
rows, their statistics) is read on the driver, by DuckDB.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import sqlglot
from pyspark.sql import DataFrame, SparkSession
from sqlglot import exp

from recmtl.data.database import Answer
from recmtl.data.spark.answers import Frame, Rows
from recmtl.data.spark.dialect import spark_sql
from recmtl.data.spark.failing import refusing
from recmtl.data.spark.parquet import Wanted, read, write
from recmtl.data.spark.types import duck_type


class SparkConnection:
    """Views and temporary tables of one piece of work. Closing it gives back what the tables hold."""

    def __init__(self, session: SparkSession, files: duckdb.DuckDBPyConnection) -> None:
        """`files` looks at files."""
        self._session, self._files = session, files
        self._views: dict[str, exp.Expr] = {}
        self._tables: dict[str, DataFrame] = {}
        self._read: dict[Wanted, str] = {}

    def execute(self, query: str, /) -> Answer:
        """Raises Refusal, or DuckDB's error of a file."""
        tree = sqlglot.parse_one(query, read="duckdb")
        with refusing():
            if isinstance(tree, exp.Create):
                self._create(tree)
            elif isinstance(tree, exp.Drop):
                self._drop(tree.args["tables"][0].name)
            elif isinstance(tree, exp.Copy):
                write(self._frame(tree.this.this), Path(tree.args["files"][0].name))
            elif _is_of_files(tree):
                return self._files.execute(query)
            elif isinstance(tree, exp.Describe):
                return Rows([(c.name, duck_type(c.dataType)) for c in self._frame(tree.this).schema])
            else:
                return Frame(self._frame(tree))
        return Rows([])

    def sql(self, query: str, /) -> Frame:
        """Raises Refusal."""
        with refusing():
            return Frame(self._frame(sqlglot.parse_one(query, read="duckdb")))

    def list_filesystems(self) -> list[str]:
        return self._files.list_filesystems()

    def register_filesystem(self, filesystem: Any, /) -> None:
        self._files.register_filesystem(filesystem)

    def close(self) -> None:
        for name in list(self._tables):
            self._drop(name)
        self._files.close()

    def _create(self, tree: exp.Create) -> None:
        name, query = tree.this.name, tree.expression
        if tree.kind == "VIEW":
            self._views[name.lower()] = query
            return
        made = self._frame(query).persist()
        made.count()  # now, as the views that it reads may soon mean something else
        self._drop(name)
        self._tables[name.lower()] = made
        made.createOrReplaceTempView(name)

    def _drop(self, name: str) -> None:
        if table := self._tables.pop(name.lower(), None):
            table.unpersist()

    def _frame(self, query: exp.Expr) -> DataFrame:
        """The query with its views as they are now."""
        query = query.copy()
        for table in list(query.find_all(exp.Table)):
            if isinstance(table.this, exp.ReadParquet):
                table.set("this", exp.to_identifier(self._files_view(table)))
            elif view := self._views.get(table.name.lower()):
                _named_apart(self._frame(view)).createOrReplaceTempView(table.name)
        return self._session.sql(spark_sql(query))

    def _files_view(self, table: exp.Table) -> str:
        """A view of the files that a table of a query names."""
        wanted = Wanted.of(table)
        if wanted not in self._read:
            described = self._files.execute(wanted.describe()).fetchall()
            empty = self._files.execute(wanted.empty()).fetchall()
            frame = read(self._session, wanted, {name: kind for name, kind, *_ in described}, empty)
            self._read[wanted] = f"files_{len(self._read)}"
            frame.createOrReplaceTempView(self._read[wanted])
        return self._read[wanted]


def _named_apart(frame: DataFrame) -> DataFrame:
    """Of columns with one name the first keeps it, and nobody asks for the others, as in DuckDB."""
    seen: Counter[str] = Counter()
    names = []
    for name in frame.columns:
        seen[name.lower()] += 1
        names.append(name if seen[name.lower()] == 1 else f"{name}_{seen[name.lower()] - 1}")
    return frame if names == frame.columns else frame.toDF(*names)


def _is_of_files(tree: exp.Expr) -> bool:
    """Whether a statement asks of files what they are, or reads them to see whether it can."""
    asked = [part.name for part in tree.find_all(exp.Anonymous)]
    told = any(name.lower().startswith("parquet_") for name in asked) or tree.find(exp.Columns)
    described = isinstance(tree, exp.Describe) and tree.find(exp.ReadParquet)
    return bool(told or described)
