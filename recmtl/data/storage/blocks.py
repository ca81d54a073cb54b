"""Examples of a part in, blocks of encoded rows out, with the keys that are carried along."""

from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa

from recmtl.data.duck import engine_errors
from recmtl.data.encoder import Encoder
from recmtl.data.examples import Examples
from recmtl.data.storage.rare import RareIds
from recmtl.data.storage.rowfiles import Rows
from recmtl.schema import Problem
from recmtl.seed import numpy_generator

BLOCK_ROWS = 1 << 16
ORIGIN, WEIGHT = ("_file", "_row"), "_weight"


class Blocks:
    """Reads the examples part by part and encodes them, block by block."""

    def __init__(self, problem: Problem, examples: Examples, encoder: Encoder) -> None:
        self._problem, self._examples, self._encoder = problem, examples, encoder
        data = problem.data
        carried = [*data.keys, *filter(None, (data.group, data.impressions.id)), *ORIGIN]
        self._keys = list(dict.fromkeys(carried))

    def read(
        self, db: duckdb.DuckDBPyConnection, part: str, seed: int
    ) -> Iterator[tuple[Rows, pa.Table]]:
        """Rows and keys in the order of the examples; on train some rare ids read the unknown row."""
        rare = RareIds(self._encoder) if part == "train" else None
        generator = numpy_generator(seed, "rare ids")
        for table in self._tables(db, part):
            encoded = self._encoder.encode(table)
            if rare is not None:
                encoded = rare.hide(encoded, generator)
            yield Rows({
                "rows": encoded.rows, "dense": encoded.dense, "labels": self._labels(table),
                "weight": _weight(table)[:, None], "origin": _origin(table),
            }, encoded.lists), table.select(self._keys)

    def _tables(self, db: duckdb.DuckDBPyConnection, part: str) -> Iterator[pa.Table]:
        """The rows of a part: with rates a day at a time, so that no sort is larger than a day."""
        examples, columns = self._examples, self._columns()
        steps = [[day] for day in examples.days] if examples.rated(columns) else [None]
        for days in steps:
            query = examples.select(self._problem.data.split, part, columns, days)
            with engine_errors("the examples"):
                for batch in db.sql(query).to_arrow_reader(BLOCK_ROWS):
                    yield pa.Table.from_batches([batch])

    def _columns(self) -> list[str]:
        weight = [WEIGHT] if WEIGHT in self._examples.columns else []
        return list(dict.fromkeys(
            [*self._keys, *weight, *self._encoder.columns, *self._problem.labels]
        ))

    def _labels(self, table: pa.Table) -> np.ndarray:
        """(B, L) float32; null is NaN."""
        columns = [_floats(table, name) for name in self._encoder.layout.labels]
        return np.stack(columns, axis=1)


def _weight(table: pa.Table) -> np.ndarray:
    if WEIGHT in table.column_names:
        return _floats(table, WEIGHT)
    return np.ones(table.num_rows, dtype=np.float32)


def _origin(table: pa.Table) -> np.ndarray:
    return np.stack([table[name].to_numpy().astype(np.int32) for name in ORIGIN], axis=1)


def _floats(table: pa.Table, name: str) -> np.ndarray:
    values: np.ndarray = table[name].to_numpy().astype(np.float32)
    return values
