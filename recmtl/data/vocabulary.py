"""A feature's values on train, counted in SQL; then values in, rows of its embedding table out.

The table has value, row, count, first_day and last_day. Rows 0, 1 and 2 are padding, null and
unknown; then come the values, the most frequent first. A value too rare to have a row is kept with
a null row, so that its count can grow.
"""

from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recmtl.errors import RecmtlError

PADDING, NULL, UNKNOWN, RESERVED = 0, 1, 2, 3
SCHEMA = ("value", "row", "count", "first_day", "last_day")


class Vocabulary:
    """Values with rows. `table` is as the module says, its values int64 or string."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table.select(SCHEMA)

    @classmethod
    def from_counts(cls, counts: pa.Table, min_count: int, max_size: int | None) -> "Vocabulary":
        """Give rows to the values of `counts` (value, count, days; most frequent first)."""
        frequent = int(np.sum(counts["count"].to_numpy() >= min_count))
        kept = frequent if max_size is None else min(frequent, max_size)
        place = np.arange(counts.num_rows, dtype=np.int64)
        row = pa.array(place + RESERVED, mask=place >= kept)
        return cls(counts.append_column("row", row))

    @classmethod
    def read(cls, file: Path) -> "Vocabulary":
        """Raises RecmtlError where the file is missing or no vocabulary."""
        try:
            return cls(pq.read_table(file))
        except (OSError, pa.ArrowInvalid, KeyError) as error:
            raise RecmtlError(
                f"unreadable vocabulary: {error}", where=file, fix="fit the encoder again",
            ) from error

    def write(self, file: Path) -> None:
        pq.write_table(self.table, file, compression="zstd")

    @cached_property
    def size(self) -> int:
        """Rows of the table, reserved ones included."""
        last = pc.max(self.table["row"]).as_py()
        return RESERVED if last is None else int(last) + 1

    def rows(self, values: pa.Array) -> np.ndarray:
        """(B,) int64 rows of values of the vocabulary's own type; nulls read the null row."""
        if self._is_integer:
            rows = self._look_up(values.fill_null(0).to_numpy(zero_copy_only=False))
        else:
            coded = values.dictionary_encode()
            unique = self._look_up_words(coded.dictionary.to_pylist())
            rows = unique[coded.indices.fill_null(0).to_numpy(zero_copy_only=False)]
        if values.null_count:
            rows[values.is_null().to_numpy(zero_copy_only=False)] = NULL
        return rows

    def rare(self, at_most: int) -> np.ndarray:
        """Which rows hold a value seen at most so often on train: (size,) bool."""
        known = self._known
        rare = np.zeros(self.size, dtype=bool)
        rare[known["row"].to_numpy()] = known["count"].to_numpy() <= at_most
        return rare

    @property
    def _is_integer(self) -> bool:
        return bool(pa.types.is_integer(self.table["value"].type))

    @cached_property
    def _known(self) -> pa.Table:
        return self.table.filter(pc.is_valid(self.table["row"]))

    @cached_property
    def _targets(self) -> np.ndarray:
        """Rows in the order of the index, then UNKNOWN, where place −1 (not found) reads it."""
        return np.append(self._known["row"].to_numpy(), UNKNOWN)

    @cached_property
    def _index(self) -> "pd.Index[int]":
        # pandas hashes int64 as it is: exact on all 64 bits, and 10 times np.searchsorted
        index: pd.Index[int] = pd.Index(self._known["value"].to_numpy(), dtype="int64")
        return index

    def _look_up(self, ids: np.ndarray) -> np.ndarray:
        rows: np.ndarray = self._targets[self._index.get_indexer(ids)]  # type: ignore[arg-type]
        return rows

    @cached_property
    def _places(self) -> dict[str, int]:
        words = self._known["value"].to_pylist()
        return dict(zip(words, self._known["row"].to_pylist(), strict=True))

    def _look_up_words(self, words: list[str]) -> np.ndarray:
        """Rows of distinct words; one more at the end keeps an all-null column readable."""
        find = self._places.get
        return np.array([*(find(word, UNKNOWN) for word in words), NULL], dtype=np.int64)
