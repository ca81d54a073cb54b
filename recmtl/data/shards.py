"""Encoded examples on disk: written once, mapped by every model, epoch and process.

A part's folder holds the matrices rows (N, S), dense (N, D), labels (N, L; NaN is null), weight
(N, 1) and origin (N, 2: source file, row in it), and the list columns; valid and test have
`keys.parquet` too. Train rows are permuted once when written; the others keep the examples' order. Where
[data] names a column `together`, there is a matrix of that name (N, 1), a number a value, and train rows
of one number lie beside each other.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recmtl.batch import Layout
from recmtl.data.storage.rowfiles import Rows, open_rows
from recmtl.data.storage.together import TOGETHER
from recmtl.errors import RecmtlError
from recmtl.folder import digest, read_manifest
from recmtl.schema import Problem

FORMAT = 5  # raised when the same encoder and examples would give other files
KEYS = "keys.parquet"


@dataclass(frozen=True)
class Shards:
    """One part, memory-mapped. Labels and weight are float32; a null label is NaN."""

    folder: Path
    layout: Layout
    content: Rows

    @classmethod
    def open(cls, folder: Path) -> "Shards":
        """`folder` is that of a part. Raises RecmtlError where it is missing, unfinished or cut short."""
        folder = Path(folder)
        manifest = read_manifest(folder.parent)
        part = manifest["parts"].get(folder.name)
        if part is None:
            raise RecmtlError("no such part", where=folder, expected=", ".join(manifest["parts"]))
        try:
            content = open_rows(folder, part["rows"], part["types"])
        except (OSError, ValueError) as error:
            raise RecmtlError(
                f"unreadable shards: {error}", where=folder, fix="delete the folder and encode again",
            ) from error
        return cls(folder, Layout.from_json(manifest["layout"]), content)

    def __len__(self) -> int:
        return len(self.content)

    @property
    def rows(self) -> np.ndarray:
        """(N, S) rows of the fused tables."""
        return self.content.matrices["rows"]

    @property
    def dense(self) -> np.ndarray:
        """(N, D) float32."""
        return self.content.matrices["dense"]

    @property
    def weight(self) -> np.ndarray:
        """(N,) float32."""
        return self.content.matrices["weight"][:, 0]

    @property
    def origin(self) -> np.ndarray:
        """(N, 2) int32: source file, row in it."""
        return self.content.matrices["origin"]

    @property
    def together(self) -> np.ndarray | None:
        """(N,) int64: rows of one user or request have one number; None where [data] names none."""
        numbers = self.content.matrices.get(TOGETHER)
        return None if numbers is None else numbers[:, 0]

    def labels(self, name: str) -> np.ndarray:
        """(N,) float32 with NaN for null."""
        return self.content.matrices["labels"][:, self.layout.labels.index(name)]

    def keys(self) -> pa.Table:
        """Keys, group, id, `_file` and `_row` of valid and test, in row order."""
        file = self.folder / KEYS
        if not file.exists():
            raise RecmtlError("this part keeps no keys: its rows are permuted", where=self.folder,
                              expected="valid or test")
        return pq.read_table(file)


def shards_key(problem: Problem, examples: str, encoder: str, seed: int) -> str:
    """What shards depend on; `examples` and `encoder` are the key and the digest of these two."""
    data = problem.data
    return digest([
        FORMAT, examples, encoder, data.split.model_dump(), seed, data.keys,
        data.group, data.impressions.id, problem.labels,
        {name: task.model_dump() for name, task in problem.tasks.items()},
        *filter(None, [data.together]),
        *([{"half_life": data.half_life_days}] if data.half_life else []),
    ])
