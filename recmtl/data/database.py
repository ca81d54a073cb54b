"""What ingest and its siblings ask of an engine: the few calls that DuckDB has and Spark is given."""

from typing import Any, Protocol

import duckdb
import pyarrow as pa


class Answer(Protocol):
    """The rows of a statement."""

    @property
    def description(self) -> list[tuple[Any, ...]]: ...

    def fetchall(self) -> list[Any]: ...

    def fetchone(self) -> tuple[Any, ...] | None: ...

    def fetchmany(self, size: int, /) -> list[Any]: ...


class Relation(Protocol):
    """The same for Arrow."""

    def to_arrow_table(self) -> pa.Table: ...

    def to_arrow_reader(self, batch_size: int, /) -> pa.RecordBatchReader: ...


class Database(Protocol):
    """An engine with views and temporary tables of its own; statements are in DuckDB's dialect."""

    def execute(self, query: str, /) -> Answer: ...

    def sql(self, query: str, /) -> Relation: ...

    def list_filesystems(self) -> list[str]: ...

    def register_filesystem(self, filesystem: Any, /) -> None: ...

    def close(self) -> None: ...


class Refusal(Exception):
    """What Spark says where it cannot do what it was asked."""


FAILURES = (duckdb.Error, Refusal)
