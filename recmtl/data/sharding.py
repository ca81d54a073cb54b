"""Examples and their encoder in; shards on disk out: a folder a part, as `data.shards` reads it."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recmtl.data.duck import held_bytes
from recmtl.data.encoder import Encoder
from recmtl.data.examples import PARTS, Examples
from recmtl.data.shards import KEYS, shards_key
from recmtl.data.storage.blocks import Block, Blocks
from recmtl.data.storage.rowfiles import Appender, Rows, describe
from recmtl.data.storage.shuffle import shuffle
from recmtl.data.storage.tally import Tally
from recmtl.folder import is_current, locked, read_manifest, write_folder
from recmtl.progress import SILENT, Progress
from recmtl.schema import Problem
from recmtl.seed import numpy_generator


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
    with locked(out):
        if is_current(out, key):
            return read_manifest(out)
        manifest: dict[str, Any] = {
            "key": key, "encoder": encoder.digest, "layout": encoder.layout.to_json(), "seed": seed,
        }
        tally, blocks = Tally(problem, examples), Blocks(problem, examples, encoder)
        total = sum(day["rows"] for day in examples.manifest["days"].values())
        with (
            write_folder(out, manifest) as folder, closing(blocks.read(seed)) as read,
            progress.track(total, "encode") as advance,
        ):
            held = held_bytes(problem.data.memory_limit)
            types = _write(folder, _counted(read, tally, advance), total, seed, held)
            manifest["parts"] = {
                name: {**part, "types": types[name]} for name, part in tally.parts().items()
            }
    return read_manifest(out)


def _write(
    folder: Path, blocks: Iterator[Block], total: int, seed: int, held: int
) -> dict[str, Any]:
    """The parts' folders; returns the types of each one's files.

    Blocks have `total` rows at most; train's are permuted in memory where all take `held` bytes at most.
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
