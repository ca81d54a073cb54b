"""What each stage of encoding takes, on W1 without its lists (W1a) and with them.

    W1=FOLDER python benchmarks/encode.py OUT [--rounds 5]

FOLDER is what benchmarks/w1.py fills. Examples are ingested into OUT/w1a and OUT/w1 where they are not
there yet. Stages take turns, so that all meet the same machine; the quickest of the rounds counts, in
seconds on the clock; beside it stand the seconds of all threads together in that round.
"""

import argparse
import resource
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from recmtl import pipeline
from recmtl.data import native
from recmtl.data.duck import connect
from recmtl.data.encoder import Encoder
from recmtl.data.examples import Examples
from recmtl.data.selection import select, select_parts
from recmtl.data.sharding import write_shards
from recmtl.data.unqueried import BLOCK_ROWS
from recmtl.experiment import Experiment

HERE = Path(__file__).parent
SAMPLE = 8  # blocks that are encoded from memory
Stage = tuple[str, int, Callable[[], object]]  # name, rows, what is done


def stages(experiment: Experiment, examples: Examples, out: Path) -> list[Stage]:
    """All stages, the last two of which make up `recmtl encode`."""
    split, width, limit = experiment.data.split, experiment.embedding.width, experiment.data.memory_limit
    rows = sum(day["rows"] for day in examples.manifest["days"].values())
    columns = list(examples.columns)
    encoder = Encoder.fit(experiment, examples, width)
    with closing(connect(limit)) as db:
        batches = islice(db.sql(select(examples)).to_arrow_reader(BLOCK_ROWS), SAMPLE)
        tables = [pa.Table.from_batches([batch]) for batch in batches]
    encoder.encode(tables[0])  # makes what look-ups need

    def read(query: str) -> None:
        with closing(connect(limit)) as db:
            for _ in db.sql(query).to_arrow_reader(BLOCK_ROWS):
                pass

    def decode_log() -> None:
        for source in examples.manifest["sources"]:
            with pq.ParquetFile(source["path"]) as file:
                known = [name for name in columns if name in file.schema_arrow.names]
                file.read(columns=known, use_threads=False)

    def scan() -> None:
        scanner = ds.dataset(examples.files()).scanner(columns=columns, batch_size=BLOCK_ROWS)
        for _ in scanner.to_batches():
            pass

    def write() -> None:
        shutil.rmtree(out, ignore_errors=True)
        write_shards(experiment, examples, encoder, out, 1)

    return [
        ("decode the log's own files, pyarrow, one thread", rows, decode_log),
        ("decode alone, DuckDB", rows, lambda: read(select(examples))),
        ("decode alone, pyarrow", rows, scan),
        ("decode and tell the part, DuckDB", rows, lambda: read(select_parts(examples, split, columns))),
        ("encode from memory", sum(map(len, tables)), lambda: [encoder.encode(t) for t in tables]),
        ("fit", rows, lambda: Encoder.fit(experiment, examples, width)),
        ("encode: shards written", rows, write),
    ]


def measure(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of all threads."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    call()
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used


def table(made: list[Stage], taken: list[list[tuple[float, float]]]) -> str:
    """`taken` has a list a round with a pair a stage."""
    best = [min(rounds) for rounds in zip(*taken, strict=True)]
    both = min((a[0] + b[0], a[1] + b[1]) for *_, a, b in taken)
    lines = [(name, rows, *pair) for (name, rows, _), pair in zip(made, best, strict=True)]
    lines.append(("fit and encode", made[-1][1], *both))
    return "\n".join([
        "| stage | rows | seconds | of all threads | rows/s |", "|---|---|---|---|---|",
        *(f"| {name} | {rows:,} | {seconds:.2f} | {used:.2f} | {rows / seconds / 1e6:.2f}M |"
          for name, rows, seconds, used in lines),
    ])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    print(f"loops: {'C++' if native.compiled() else 'pandas and numpy'}")
    for name in ("w1a", "w1"):
        experiment, out = Experiment.read(HERE / f"{name}.toml"), chosen.out / name
        if not (out / "examples").exists():
            pipeline.ingest(experiment, out)
        made = stages(experiment, Examples.open(out / "examples"), out / "shards-measured")
        taken = [[measure(call) for _, _, call in made] for _ in range(chosen.rounds)]
        shutil.rmtree(out / "shards-measured")
        print(f"\n{name}:\n{table(made, taken)}")


if __name__ == "__main__":
    main()
