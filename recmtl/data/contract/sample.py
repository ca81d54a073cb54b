"""Rows to look at: files of examples go in, a small table of evenly spread rows comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from recmtl.data.query import column, expression, text, tree

Kind = Literal["number", "ids", "lists", "vector"]
BLOCK = 4096  # rows: two of DuckDB's vectors, so that little is decoded beside what is wanted
MOST_FILES = 16
NONE: Mapping[str, Kind] = {}


@dataclass(frozen=True)
class Rows:
    """Which rows of which files: the first `size` of every `step`."""

    files: tuple[str, ...]
    step: int
    size: int

    @classmethod
    def spread(cls, files: Sequence[str], rows: int, blocks: int) -> "Rows":
        """About `blocks` blocks of all `rows`; all rows where there are no more than two times that."""
        if rows <= 2 * blocks * BLOCK:
            return cls(tuple(files), 1, 1)
        some = tuple(files[:: -(-len(files) // MOST_FILES)])
        step = max(rows * len(some) // len(files) // blocks, BLOCK)
        return cls(some, step, BLOCK)

    @property
    def all(self) -> bool:
        return self.step == 1

    def select(self, dated: bool = False) -> exp.Select:
        """The rows without any column, with the day of their folder where they are `dated`."""
        query = tree(
            "contract_sample", files=exp.convert(list(self.files)), step=exp.convert(self.step),
            size=exp.convert(self.size), dated=exp.convert(dated),
        )
        assert isinstance(query, exp.Select)
        return query

    def read(
        self, db: duckdb.DuckDBPyConnection, columns: Sequence[str], hashed: Mapping[str, Kind] = NONE
    ) -> tuple[dict[str, pa.ChunkedArray], dict[str, pa.ChunkedArray]]:
        """The columns, and hashes of the values of some, of lists those of their elements."""
        query = self.select()
        hashes = [
            expression("contract_hashes", kind, value=column(name)) for name, kind in hashed.items()
        ]
        query = query.select(*map(column, columns), *hashes, append=False)
        found = db.sql(text(query)).to_arrow_table().columns
        size = len(columns)
        return (
            dict(zip(columns, found[:size], strict=True)), dict(zip(hashed, found[size:], strict=True))
        )


def flat(values: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """What a column holds, lists element by element, without nulls; and the row of each."""
    whole = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], type=values.type)
    rows = np.arange(len(whole))
    if pa.types.is_list(whole.type):
        rows = pc.list_parent_indices(whole).to_numpy(zero_copy_only=False)
        whole = pc.list_flatten(whole)
    if not whole.null_count:
        return whole, rows
    known = whole.is_valid()
    return whole.filter(known), rows[known.to_numpy(zero_copy_only=False)]
