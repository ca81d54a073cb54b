"""Parquet files in, a folder of scores out: streamed, atomic, a score file an input file."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recmtl.data.allocator import use_jemalloc
from recmtl.data.candidates import Source
from recmtl.data.logs.table import partition_values
from recmtl.errors import RecmtlError
from recmtl.folder import write_folder
from recmtl.progress import SILENT, Progress
from recmtl.scoring.score import PIECE, VERSION, Scorer

GROUP = 8  # batches that are written at a time, as one row group
BUFFER = 1 << 17  # bytes of a column that are read at a time, where Arrow would read all of a row group's


def score_files(
    scorer: Scorer, inputs: Sequence[Path], out: Path, progress: Progress = SILENT
) -> Path:
    """Score Parquet files of any size into the folder `out`; `dt=…` folders are kept.

    A score file has the keys that its input has, a column a task, `model_version` and, where the model
    reads rates, `rates_day`, and as many rows in the same order. Raises RecmtlError naming the file, and
    writes nothing then.
    """
    use_jemalloc()
    opened = [_open(file) for file in inputs]
    total = sum(reader.metadata.num_rows for reader in opened)
    manifest = {"model": scorer.version, "rows": total, "inputs": [file.name for file in inputs]}
    manifest |= {name: value for name, value in scorer.stamp.items() if name != VERSION}
    with write_folder(out, manifest) as folder, progress.track(total, "score") as advance:
        sources = (_source(scorer, *pair) for pair in zip(inputs, opened, strict=True))
        with closing(scorer.stream(sources)) as scored:
            for number, batches in groupby(scored, key=itemgetter(0)):
                day = inputs[number].parent.name
                target = folder / (day if day.startswith("dt=") else "") / f"scores-{number:05d}.parquet"
                target.parent.mkdir(exist_ok=True)
                for rows in _write((batch for _, batch in batches), target):
                    advance(rows)
    return out


def _write(batches: Iterator[pa.RecordBatch], file: Path) -> Iterator[int]:
    """Write batches as they come, of which there is at least one; yields how many rows are written."""
    first = next(batches)
    # of numbers there would be as many words as rows, or nearly so
    words = [field.name for field in first.schema if pa.types.is_string(field.type)]
    with pq.ParquetWriter(file, first.schema, compression="zstd", use_dictionary=words) as writer:
        batches = chain([first], batches)
        while group := list(islice(batches, GROUP)):
            writer.write_table(pa.Table.from_batches(group))
            yield sum(batch.num_rows for batch in group)


def _source(scorer: Scorer, file: Path, reader: pq.ParquetFile) -> Source:
    """The columns that are read, some thousand rows at a time; those that its folders give are texts."""
    held, given = reader.schema_arrow, partition_values(str(file.absolute()))
    names = scorer.reads([*held.names, *(name for name in given if name not in held.names)])
    own = [name for name in names if name in held.names]
    fields = [held.field(name) if name in own else pa.field(name, pa.string()) for name in names]
    schema = pa.schema(fields)
    of_folders = {name: given[name] for name in names if name not in own}
    return Source(str(file), schema, _tables(file, reader, schema, of_folders), tuple(of_folders))


def _tables(
    file: Path, reader: pq.ParquetFile, schema: pa.Schema, of_folders: Mapping[str, str | None]
) -> Iterator[pa.Table]:
    own = [name for name in schema.names if name not in of_folders]
    with reader, _readable(file):
        for batch in reader.iter_batches(PIECE, columns=own):
            table = pa.Table.from_batches([batch])
            for name, value in of_folders.items():
                same = pa.repeat(pa.scalar(value, pa.string()), batch.num_rows)
                table = table.append_column(name, same)
            yield table.select(schema.names)


def _open(file: Path) -> pq.ParquetFile:
    with _readable(file):
        # To buffer ahead would be to hold what was read until the file's end.
        return pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except pa.ArrowMemoryError as error:
        raise RecmtlError(
            f"cannot be read: {error}", where=file, fix="give the process more memory",
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise RecmtlError(
            f"cannot be read as Parquet: {error}", where=file,
            fix="the file is missing, truncated or of another format: write it again",
        ) from error
