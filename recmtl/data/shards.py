"""Encoded examples on disk: written once, mapped by every model, epoch and process.

A part's folder holds the matrices rows (N, S), dense (N, D), labels (N, L; NaN is null), weight
(N, 1) and origin (N, 2: source file, row in it), and the list columns; valid and test have
`keys.parquet` too. Train rows are permuted once when written; the others keep the examples' order. Where
[data] names a column `together`, there is a matrix of that name (N, 1), a number a value, and train rows
of one number lie beside each other.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recmtl.batch import Layout
from recmtl.data.duck import connect, memory_limit
from recmtl.data.encoder import Encoder
from recmtl.data.examples import PARTS, Examples
from recmtl.data.storage.blocks import Block, Blocks
from recmtl.data.storage.rowfiles import Appender, Rows, describe, open_rows
from recmtl.data.storage.shuffle import shuffle
from recmtl.data.storage.tally import Tally
from recmtl.data.storage.together import TOGETHER
from recmtl.errors import RecmtlError
from recmtl.folder import digest, is_current, locked, read_manifest, write_folder
from recmtl.progress import SILENT, Progress
from recmtl.schema import Problem
from recmtl.seed import numpy_generator

FORMAT = 4  # raised when the same encoder and examples would give other files
KEYS = "keys.parquet"


def write_shards(
    problem: Problem, examples: Examples, encoder: Encoder, out: Path, seed: int,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Write `out`/train, valid and test and return the manifest; where it is current nothing is done.

    Memory is bounded: `memory_limit` for the engine, half of it for rows that are permuted, and a few
    blocks. Raises RecmtlError for a part without rows, a binary task without positives on train, labels
    that break a product, and values that do not fit the encoder; then nothing is written.
    """
    key = shards_key(problem, examples.manifest["key"], encoder.digest, seed)
    with locked(out), closing(connect(problem.data.memory_limit, problem.spill)) as db:
        if is_current(out, key):
            return read_manifest(out)
        manifest: dict[str, Any] = {
            "key": key, "encoder": encoder.digest, "layout": encoder.layout.to_json(), "seed": seed,
        }
        tally, blocks = Tally(problem, examples), Blocks(problem, examples, encoder)
        total = sum(day["rows"] for day in examples.manifest["days"].values())
        with (
            write_folder(out, manifest) as folder, closing(blocks.read(db, seed)) as read,
            progress.track(total, "encode") as advance,
        ):
            held = memory_limit(db) // 2
            types = _write(folder, _counted(read, tally, advance), total, seed, held)
            manifest["parts"] = {
                name: {**part, "types": types[name]} for name, part in tally.parts().items()
            }
    return read_manifest(out)


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


def _write(
    folder: Path, blocks: Iterator[Block], total: int, seed: int, held: int
) -> dict[str, Any]:
    """The parts' folders; returns the types of each one's files.

    Train has `total` rows at most; they are permuted in memory where they take `held` bytes at most.
    """
    others = {name: _InOrder(folder / name) for name in PARTS if name != "train"}

    def train() -> Iterator[tuple[Rows, np.ndarray]]:
        for block in blocks:
            for part in block.places:
                if part in others:
                    others[part].append(*block.taken(part))
                else:
                    yield block.rows, block.places[part]

    generator = numpy_generator(seed, "shards")
    types = shuffle(train(), Appender(folder / "train"), generator, total, held)
    return {"train": types, **{name: part.close() for name, part in others.items()}}


class _InOrder:
    """A part whose rows stay in the order of the examples, with their keys beside them."""

    def __init__(self, folder: Path) -> None:
        self._out, self._keys = Appender(folder), folder / KEYS
        self._writer: pq.ParquetWriter | None = None
        self._types: dict[str, Any] = {}

    def append(self, rows: Rows, keys: pa.Table) -> None:
        keys = pa.table({name: _as_words(keys[name]) for name in keys.column_names})
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._keys, keys.schema, compression="zstd")
            self._types = describe(rows)
        self._writer.write_table(keys)
        self._out.append(rows)

    def close(self) -> dict[str, Any]:
        """The types of the files."""
        if self._writer is not None:
            self._writer.close()
        return self._types


def _as_words(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Words that are a dictionary in one block may be none in the next."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _counted(blocks: Iterator[Block], tally: Tally, advance: Callable[[int], None]) -> Iterator[Block]:
    for block in blocks:
        for part, places in block.places.items():
            tally.add(part, block.rows, places)
        yield block
        advance(sum(map(len, block.places.values())))
