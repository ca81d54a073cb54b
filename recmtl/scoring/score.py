"""Rows of features in, keys and a score per task out: streamed, atomic, stamped with the version."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recmtl.bundle import Bundle
from recmtl.errors import RecmtlError
from recmtl.folder import write_folder
from recmtl.progress import SILENT, Progress

BATCH = 16384  # rows: the same scores whatever the size, so that memory decides


@dataclass(frozen=True)
class Scorer:
    """A loaded bundle."""

    bundle: Bundle

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> "Scorer":
        return cls(Bundle.load(folder, device))

    @property
    def columns(self) -> dict[str, str]:
        """Input columns → canonical type (BIGINT, VARCHAR, DOUBLE, BIGINT[], VARCHAR[], FLOAT[])."""
        return self.bundle.encoder.columns

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.bundle.tasks

    def score(self, table: pa.Table) -> dict[str, np.ndarray]:
        """task → (N,) float32, in the order of the rows. Raises RecmtlError on a missing column."""
        pieces = [
            self.bundle.score(table.slice(start, BATCH))
            for start in range(0, max(table.num_rows, 1), BATCH)
        ]
        return {task: np.concatenate([p[task] for p in pieces]) for task in self.tasks}


def score_files(
    scorer: Scorer, inputs: Sequence[Path], out: Path, version: str, progress: Progress = SILENT
) -> Path:
    """Score Parquet files into the folder `out`: one file each, `dt=…` folders kept.

    A score file has the keys that the input has, a column per task, and `model_version`.
    """
    total = sum(_metadata(file).num_rows for file in inputs)
    manifest = {"model": version, "rows": total, "inputs": [file.name for file in inputs]}
    with write_folder(out, manifest) as folder, progress.track(total, "score") as advance:
        for number, file in enumerate(inputs):
            day = file.parent.name if file.parent.name.startswith("dt=") else ""
            (folder / day).mkdir(exist_ok=True)
            writer = None
            for table in _stream(file, scorer):
                scored = _stamped(scorer, table, version)
                writer = writer or pq.ParquetWriter(
                    folder / day / f"scores-{number:05d}.parquet", scored.schema, compression="zstd"
                )
                writer.write_table(scored)
                advance(table.num_rows)
            if writer is not None:
                writer.close()
    return out


def _stamped(scorer: Scorer, table: pa.Table, version: str) -> pa.Table:
    data = scorer.bundle.experiment.data
    keys = [k for k in (data.impressions.id, *data.keys) if k and k in table.column_names]
    scores = scorer.score(table)
    columns = {k: table[k] for k in dict.fromkeys(keys)} | {
        t: pa.array(scores[t]) for t in scorer.tasks
    }
    stamp = pa.repeat(pa.scalar(version), table.num_rows)
    return pa.table(columns).append_column("model_version", stamp)


def _stream(file: Path, scorer: Scorer) -> Iterator[pa.Table]:
    """The columns that are needed, some thousand rows at a time."""
    reader = pq.ParquetFile(file)
    names = set(reader.schema_arrow.names)
    data = scorer.bundle.experiment.data
    wanted = dict.fromkeys([*scorer.columns, *data.keys, data.impressions.id or ""])
    for batch in reader.iter_batches(BATCH, columns=[c for c in wanted if c in names]):
        yield pa.Table.from_batches([batch])


def _metadata(file: Path) -> pq.FileMetaData:
    try:
        return pq.read_metadata(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise RecmtlError(
            f"cannot be read as Parquet: {error}", where=file,
            fix="the file is missing, truncated or of another format: write it again",
        ) from error
