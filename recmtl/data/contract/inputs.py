"""The files that examples come from: a problem and its manifest go in, the files' columns come out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from recmtl.data.contract.measured import stated
from recmtl.data.database import Database
from recmtl.data.logs.files import find_inputs
from recmtl.data.logs.table import Table, open_table
from recmtl.schema import Problem


@dataclass(frozen=True)
class Files:
    """Files of the log, of events or of a side table, in the order of their days, else of their names.

    `types` is column → file → type, `nulls` the share of rows without a value, of columns that are no
    lists; those of the log are looked at in the examples.
    """

    names: Sequence[str]
    types: Mapping[str, Mapping[str, str]]
    days: Mapping[str, str] = field(default_factory=dict)  # file → the first day it has rows of
    nulls: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def of_log(cls, log: Table, manifest: Mapping[str, Any]) -> "Files":
        sources = {source["path"]: source["days"] for source in manifest["sources"]}
        days = {file: min(sources[file]) for file in log.files if sources.get(file)}
        names = sorted(log.files, key=lambda file: (days.get(file, ""), file))
        return cls(names, log.types, days)

    @classmethod
    def of_input(cls, db: duckdb.DuckDBPyConnection, table: Table) -> "Files":
        nulls: dict[str, dict[str, float]] = {}
        for file in table.files:
            for column, said in stated(db, [file]).items():
                nulls.setdefault(column, {})[file] = said["nulls"]
        return cls(table.files, table.types, {}, nulls)


def input_files(
    db: duckdb.DuckDBPyConnection, engine: Database, problem: Problem
) -> Iterator[tuple[str, Files]]:
    """Of each source of events and each side table, by its key in the configuration."""
    for number, (key, files) in enumerate(find_inputs(problem).items()):
        where = f"data.{key}"
        yield where, Files.of_input(db, open_table(engine, f"input_{number}", where, files))
