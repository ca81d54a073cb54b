"""Scoring from Parquet to Parquet, beside its own parts, in turns.

    python benchmarks/score.py [--w1 FOLDER] [--out FOLDER] [--turns 7]

Scores the ten files of W1 with an MMoE of W1a, which is trained first where it is missing in OUT/w1a. In
each turn every part is done alone: pyarrow reads the columns that are scored; rows are encoded; the model
goes over encoded rows; scores are written. The times that they take for a row add up to the series, which
is what they would reach one after the other. report.py makes a section of it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.measure import HERE, PEERS, RUNS, has_bf16, keep, make_log
from recmtl import pipeline
from recmtl.batch import Batch
from recmtl.bundle import Bundle, to_batch
from recmtl.memory import keep_freed_memory
from recmtl.scoring import Scorer, files, score_files
from recmtl.scoring.cores import on_each_core
from recmtl.scoring.score import BATCH, PIECE

BATCHES = 64  # of BATCH encoded rows that lie in memory
Rates = Mapping[str, Sequence[float]]  # what is done → rows a second, turn by turn


def trained(out: Path) -> Path:
    """The MMoE of W1a; steps that are current do nothing."""
    config, options = HERE / "w1a.toml", pipeline.Options(models=["mmoe"], track=False, device="cpu")
    for step in (pipeline.ingest, pipeline.encode, pipeline.train):
        step(config, out, options)
    return out / "models" / "mmoe" / "seed-1"


class Parts:
    """What scoring does, one thing at a time; each part gives the number of rows that it was done to."""

    def __init__(self, scorer: Scorer, inputs: list[Path], folder: Path) -> None:
        self.scorer, self.inputs, self.folder = scorer, inputs, folder
        with pq.ParquetFile(inputs[0]) as reader:
            source = files._source(scorer, inputs[0], reader)
            self.columns = source.schema.names
            self.scored = [batch for _, batch in scorer.stream([source])]
        whole = pa.concat_tables(pq.read_table(f, columns=self.columns) for f in inputs[:3])
        self.tables = [whole.slice(place * BATCH, BATCH) for place in range(BATCHES)]
        encode = scorer.bundle.encoder.encode
        self.batches = [to_batch(encode(table)) for table in self.tables]

    def decode(self) -> int:
        readers = [pq.ParquetFile(file) for file in self.inputs]
        return rows(b for reader in readers for b in reader.iter_batches(PIECE, columns=self.columns))

    def encode(self) -> int:
        return rows(on_each_core(self.scorer.bundle.encoder.encode, iter(self.tables)))

    def model(self, bundle: Bundle) -> int:
        def over(batch: Batch) -> torch.Tensor:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bundle.half):
                return next(iter(bundle.model.scores(bundle.model(batch), batch).values()))

        return rows(on_each_core(over, iter(self.batches)))

    def write(self) -> int:
        return sum(files._write(iter(self.scored), self.folder / "part.parquet"))


def rows(made: Iterable[object]) -> int:
    return sum(map(len, made))  # type: ignore[arg-type]


def timed(do: Callable[[], int]) -> Callable[[], float]:
    """The same, giving rows a second."""
    def rate() -> float:
        start = time.perf_counter()
        return do() / (time.perf_counter() - start)

    return rate


def contestants(parts: Parts, model: Path, total: int) -> dict[str, Callable[[], float]]:
    """What is done in a turn."""
    found = {"decode": parts.decode, "encode": parts.encode, "write": parts.write}
    for precision in ("fp32", "bf16")[: 1 + has_bf16()]:
        scorer = parts.scorer
        if precision == "bf16":
            scorer = replace(scorer, bundle=scorer.bundle.in_bf16())
        found[f"model {precision}"] = partial(parts.model, scorer.bundle)
        found[f"score {precision}"] = partial(in_process, scorer, parts, total)
        found[f"command {precision}"] = partial(command, model, precision, parts, total)
    return {name: timed(do) for name, do in found.items()}


def in_process(scorer: Scorer, parts: Parts, total: int) -> int:
    score_files(scorer, parts.inputs, parts.folder / "scores")
    return total


def command(model: Path, precision: str, parts: Parts, total: int) -> int:
    inputs = parts.inputs[0].parent / "part-*.parquet"
    given = [model, inputs, parts.folder / "scores", "--precision", precision, "--device", "cpu"]
    subprocess.run([sys.executable, "-m", "recmtl.cli", "score", *map(str, given)], check=True,
                   stdout=subprocess.DEVNULL)
    return total


def race(racers: Mapping[str, Callable[[], float]], turns: int) -> Rates:
    """Each does its work once a turn; the first turn is warm-up and left out."""
    rates: dict[str, list[float]] = {name: [] for name in racers}
    for turn in range(turns + 1):
        for name, racer in racers.items():
            rate = racer()
            print(f"turn {turn} {name}: {rate:,.0f} rows/s", flush=True)
            if turn:
                rates[name].append(rate)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--w1", type=Path, default=PEERS / "w1")
    parser.add_argument("--out", type=Path, default=RUNS)
    parser.add_argument("--turns", type=int, default=7)
    chosen = parser.parse_args()
    log = chosen.w1.absolute()
    os.environ["W1"] = str(log)
    make_log(log)
    model, inputs = trained(chosen.out / "w1a"), sorted(log.glob("part-*.parquet"))
    total = sum(pq.read_metadata(file).num_rows for file in inputs)
    keep_freed_memory()  # as scoring does
    with tempfile.TemporaryDirectory() as folder:
        scorer = pipeline.load_scorer(str(model), pipeline.Options(device="cpu"))
        racers = contestants(Parts(scorer, inputs, Path(folder)), model, total)
        rates = race(racers, chosen.turns)
    keep("score", {"rows": total, "batch": BATCH, "rates": rates})


if __name__ == "__main__":
    main()
