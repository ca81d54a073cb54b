"""Impressions in, rows of the fused tables and numbers out: one object for training and scoring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from recmtl.batch import Slot
from recmtl.data.encoding import fitted as fitting_files
from recmtl.data.encoding.fitted import FORMAT, Fitted
from recmtl.data.encoding.fitting import fit
from recmtl.data.encoding.reading import Reader
from recmtl.data.examples import Examples
from recmtl.data.native import Read, look_up, take_rows
from recmtl.data.vocabulary import NULL, RESERVED
from recmtl.folder import digest
from recmtl.progress import SILENT, Progress
from recmtl.schema import Problem


@dataclass(frozen=True)
class Encoded:
    """B impressions. `lists` maps a feature to its values and (B + 1,) int64 offsets."""

    rows: np.ndarray  # (B, S) int32, or int64 where a fused table needs it
    dense: np.ndarray  # (B, D) float32
    lists: Mapping[str, tuple[np.ndarray, np.ndarray]]

    def __len__(self) -> int:
        return len(self.rows)


class Encoder:
    """`layout` tells the model what `encode` gives; `columns` which input columns it reads."""

    def __init__(self, fitted: Fitted) -> None:
        self.fitted = fitted
        self.layout = fitted.layout
        self.columns = dict(fitted.columns)
        self.warnings = list(fitted.warnings)

    @classmethod
    def fit(
        cls, problem: Problem, examples: Examples, width: int, progress: Progress = SILENT
    ) -> "Encoder":
        """Count and measure the train rows; `width` is the embedding width of features without one.

        Raises RecmtlError where features that share a vocabulary have ids of different types.
        """
        return cls(fit(problem, examples, width, progress))

    @classmethod
    def load(cls, folder: Path) -> "Encoder":
        """The encoder saved in `folder`. Raises RecmtlError where it is missing or not whole."""
        return cls(fitting_files.load(Path(folder)))

    def save(self, folder: Path) -> None:
        """Write `encoder.json` and `vocabulary/*.parquet` into an existing folder."""
        fitting_files.save(self.fitted, Path(folder))

    @property
    def digest(self) -> str:
        """Equal for encoders that were fitted in the same way on the same rows."""
        return digest([FORMAT, self.fitted.made_from, self.layout.to_json()])

    @cached_property
    def dtype(self) -> np.dtype[np.signedinteger]:
        """The integer that holds every row of the fused tables."""
        largest = max(self.layout.tables.values(), default=0)
        return np.dtype(np.int64 if largest >= 2**31 else np.int32)

    def encode(self, table: pa.Table) -> Encoded:
        """Encode a table that has `columns`; others are passed over.

        Raises RecmtlError naming the column that is missing, of another type, or has a value that
        does not fit, with its row.
        """
        reader = Reader(table, self.fitted.features, self.columns)
        rows = self._rows([(slot, reader.ids(slot.name)) for slot in self.layout.slots], table.num_rows)
        lists = {}
        for slot in self.layout.lists:
            values, offsets = reader.lists(slot.name)
            lists[slot.name] = self._rows([(slot, values)], len(values))[:, 0], offsets
        return Encoded(rows, reader.dense(self.layout.dense, self.fitted.scales), lists)

    def _rows(self, columns: Sequence[tuple[Slot, pa.Array]], size: int) -> np.ndarray:
        """Rows of the fused tables, (size, columns); all looked up in one pass where C++ is compiled."""
        out = np.empty((size, len(columns)), dtype=self.dtype)
        reads = []
        for into, (slot, values) in enumerate(columns):
            vocabulary = self.fitted.vocabularies[self.fitted.owner(slot.name)]
            if vocabulary.index is None:
                out[:, into] = vocabulary.rows(values) + slot.first
                continue
            read = Read(vocabulary.index, values, slot.first + RESERVED, slot.first + NULL, into)
            if pa.types.is_dictionary(values.type):
                _by_code(read, out[:, into])
            else:
                reads.append(read)
        if reads:
            look_up(reads, out)
        return out


def _by_code(read: Read, out: np.ndarray) -> None:
    """Fill a column of a matrix, (B,), of a column that is a dictionary: each word is looked up once."""
    words = read.values.dictionary
    rows = np.empty((len(words), 1), out.dtype)
    look_up([read._replace(values=words, into=0)], rows)
    take_rows(read.values, rows, read.missing, out)
