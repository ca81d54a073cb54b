"""A feature's values on train; then values in, rows of its embedding table out.

The table has value, row, count, first_day and last_day. Rows 0, 1 and 2 are padding, null and
unknown; then come the values, the most frequent first. A value too rare to have a row is kept with
a null row, so that its count can grow.
"""

from functools import cached_property
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recmtl.data import native
from recmtl.errors import RecmtlError

if TYPE_CHECKING:
    import pandas as pd

PADDING, NULL, UNKNOWN, RESERVED = 0, 1, 2, 3
COUNTS = ("value", "count", "first_day", "last_day")
SCHEMA = ("value", "row", "count", "first_day", "last_day")


class Vocabulary:
    """Values with rows: the first `kept` of `counts`, which has all but `row`, int64 or string values.

    Of one that was read, counts and days stay in its file until they are asked for: to look rows up, or
    to score, takes neither. `size` counts the rows of the embedding table, with those reserved.
    """

    def __init__(self, counts: pa.Table, kept: int, file: Path | None = None) -> None:
        self._values, self.size = counts["value"], RESERVED + kept
        self._counts = counts.select(COUNTS) if file is None else file

    @classmethod
    def from_counts(cls, counts: pa.Table, min_count: int, max_size: int | None) -> "Vocabulary":
        """Give rows to the values of `counts`, which has the columns that a vocabulary's has."""
        frequent = int(np.sum(counts["count"].to_numpy() >= min_count))
        return cls(counts, frequent if max_size is None else min(frequent, max_size))

    @classmethod
    def read(cls, file: Path) -> "Vocabulary":
        """Raises RecmtlError where the file is missing or no vocabulary."""
        try:
            if missing := set(SCHEMA) - set(pq.read_schema(file).names):
                raise ValueError(f"no column {min(missing)!r}")
            table = pq.read_table(file, columns=["value", "row"])
            read = cls(table, table.num_rows - table["row"].null_count, file)
            if not table["row"].equals(read._rows):
                raise ValueError("values are not in the order of their rows")
            return read
        except (OSError, ValueError, KeyError) as error:
            raise RecmtlError(
                f"unreadable vocabulary: {error}", where=file, fix="fit the encoder again",
            ) from error

    def __len__(self) -> int:
        """Values that were seen on train."""
        return len(self._values)

    @property
    def table(self) -> pa.Table:
        """As the module says; rows are made when asked for, as they would take a fifth of its memory."""
        return self._seen(*COUNTS).append_column("row", self._rows).select(SCHEMA)

    @property
    def _rows(self) -> pa.ChunkedArray:
        place = np.arange(len(self), dtype=np.int64)
        return pa.chunked_array([pa.array(place + RESERVED, mask=place >= self.size - RESERVED)])

    def _seen(self, *columns: str) -> pa.Table:
        if isinstance(self._counts, Path):
            return pq.read_table(self._counts, columns=list(columns))
        return self._counts.select(columns)

    def write(self, file: Path) -> None:
        """One that was read is the copy of its file: its counts and days need not come into memory."""
        if isinstance(self._counts, Path):
            copyfile(self._counts, file)
        else:
            # Neither values nor rows repeat: to look for a dictionary of them would be most of the time.
            pq.write_table(
                self.table, file, compression="zstd", use_dictionary=list(COUNTS[1:]),
                column_encoding={"row": "DELTA_BINARY_PACKED"},
            )

    def rows(self, values: pa.Array) -> np.ndarray:
        """(B,) int64 rows of values of the vocabulary's own type; nulls read the null row."""
        if self._is_integer:
            places = self._ids.get_indexer(values.fill_null(0).to_numpy(zero_copy_only=False))
        else:
            coded, find = values.dictionary_encode(), self._words.get
            found = np.array([*(find(word, -1) for word in coded.dictionary.to_pylist()), -1])
            places = found[coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
        rows: np.ndarray = places + RESERVED  # −1 stands for one that is not known: UNKNOWN
        rows[values.is_null().to_numpy(zero_copy_only=False)] = NULL
        return rows

    @cached_property
    def index(self) -> native.Index | None:
        """The same look-up in C++, where it is compiled: of the values' places after RESERVED."""
        return native.Index(self._known.combine_chunks()) if native.compiled() else None

    def rare(self, at_most: int) -> np.ndarray:
        """Which rows hold a value seen at most so often on train: (size,) bool."""
        rare = np.zeros(self.size, dtype=bool)
        count = self._seen("count")["count"].slice(0, self.size - RESERVED)
        rare[RESERVED:] = count.to_numpy() <= at_most
        return rare

    @property
    def _is_integer(self) -> bool:
        return bool(pa.types.is_integer(self._values.type))

    @property
    def _known(self) -> pa.ChunkedArray:
        return self._values.slice(0, self.size - RESERVED)

    @cached_property
    def _ids(self) -> "pd.Index[int]":
        import pandas as pd  # 25 MB that are needed without a compiler alone

        # It hashes int64 as it is: exact on all 64 bits, and 10 times np.searchsorted
        index: pd.Index[int] = pd.Index(self._known.to_numpy(), dtype="int64")
        assert index.is_unique  # makes its table now: cores that look up at once would see half of it
        return index

    @cached_property
    def _words(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self._known.to_pylist())}
