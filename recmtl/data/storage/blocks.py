"""Examples in, blocks of encoded rows out, with the places of each part's and the keys carried along."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from recmtl.data.duck import connect, engine_errors
from recmtl.data.encoder import Encoder
from recmtl.data.examples import PART, Examples
from recmtl.data.selection import select_parts
from recmtl.data.storage.prefetch import prefetched
from recmtl.data.storage.rare import RareIds
from recmtl.data.storage.rowfiles import Rows
from recmtl.data.storage.together import TOGETHER, numbers
from recmtl.data.storage.weights import Weights
from recmtl.data.unqueried import BLOCK_ROWS, needs_no_sql, read
from recmtl.schema import Problem

AHEAD = 1  # blocks read while another is encoded
ORIGIN = ("_file", "_row")


class Block(NamedTuple):
    """B encoded rows; the places, (n,) int64, of those of each part that has any; and their keys."""

    rows: Rows
    places: Mapping[str, np.ndarray]
    keys: pa.Table

    def taken(self, part: str) -> tuple[Rows, pa.Table]:
        """Rows and keys of a part that has any."""
        places = self.places[part]
        if len(places) == len(self.rows):
            return self.rows, self.keys
        return self.rows.take(places), self.keys.take(places)


class Blocks:
    """Reads the examples once and encodes them, block by block."""

    def __init__(self, problem: Problem, examples: Examples, encoder: Encoder) -> None:
        self._problem, self._examples, self._encoder = problem, examples, encoder
        data = problem.data
        carried = [*data.keys, *filter(None, (data.group, data.impressions.id)), *ORIGIN]
        self._keys = list(dict.fromkeys(carried))
        self._together, self._weights = data.together, Weights(data, examples)

    def read(self, seed: int) -> Generator[Block]:
        """All rows in the order of the examples; some rare ids of train are hidden.

        One thread reads, another encodes: they end with the generator, which is to be closed.
        """
        rare = RareIds(self._encoder, seed)
        with (
            closing(prefetched(self._tables(), AHEAD)) as tables,
            closing(prefetched(((self._encoded(table, seed), table) for table in tables), 1)) as blocks,
        ):
            for rows, table in blocks:
                places = dict(_places(table))
                if "train" in places:
                    rare.hide(rows, places["train"])
                yield Block(rows, places, table.select(self._keys))

    def _encoded(self, table: pa.Table, seed: int) -> Rows:
        encoded, origin = self._encoder.encode(table), _origin(table)
        matrices = {
            "rows": encoded.rows, "dense": encoded.dense, "labels": self._labels(table),
            "weight": self._weights.of(table)[:, None], "origin": origin,
        }
        if self._together:
            matrices[TOGETHER] = numbers(table[self._together], origin, seed)
        return Rows(matrices, encoded.lists)

    def _tables(self) -> Iterator[pa.Table]:
        """The rows of all parts: with rates a day at a time, so that no sort is larger than a day."""
        examples, split, columns = self._examples, self._problem.data.split, self._columns()
        if needs_no_sql(examples, split, columns):
            yield from (table for _, table in read(examples, split, columns, BLOCK_ROWS))
            return
        steps = [[day] for day in examples.days] if examples.rated(columns) else [None]
        with closing(connect(self._problem.data.memory_limit, self._problem.spill)) as db:
            for days in steps:
                query = select_parts(examples, split, columns, days)
                with engine_errors("the examples"):
                    for batch in db.sql(query).to_arrow_reader(BLOCK_ROWS):
                        yield pa.Table.from_batches([batch])

    def _columns(self) -> list[str]:
        return list(dict.fromkeys(
            [*self._keys, *filter(None, [self._together]), *self._weights.columns,
             *self._encoder.columns, *self._problem.labels]
        ))

    def _labels(self, table: pa.Table) -> np.ndarray:
        """(B, L) float32; null is NaN."""
        columns = [_floats(table, name) for name in self._encoder.layout.labels]
        return np.stack(columns, axis=1)


def _places(table: pa.Table) -> Iterator[tuple[str, np.ndarray]]:
    """Where the rows of each part stand in the table, of those that have any there."""
    coded = table[PART].combine_chunks().dictionary_encode()  # as it is where it is encoded already
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    for code, part in enumerate(coded.dictionary.to_pylist()):
        places = np.flatnonzero(codes == code)
        if len(places):
            yield part, places


def _origin(table: pa.Table) -> np.ndarray:
    return np.stack([table[name].to_numpy().astype(np.int32) for name in ORIGIN], axis=1)


def _floats(table: pa.Table, name: str) -> np.ndarray:
    values: np.ndarray = table[name].to_numpy().astype(np.float32)
    return values
