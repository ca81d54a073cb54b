"""W1a for a library that reads arrays, and the blocks that its process trains or scores on demand.

`read` and `prepare` make the same of the train files: ids as rows of their vocabularies, numbers with
nulls as 0. `read` is quick; `prepare` goes the way of both libraries' examples, pandas and
scikit-learn's LabelEncoder, and is timed:

    python rows.py W1     prints {"decode", "fit", "encode": seconds, "rows"}
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from sklearn.preprocessing import LabelEncoder

IDS = ["user_id", "item_id", *(f"c{i:02d}" for i in range(14))]
NUMBERS = [f"d{i}" for i in range(8)]
LABELS = ["click", "conversion"]
BATCH = 4096
WIDTH = 16
WARM = 2  # steps that find caches as another process left them; as many as in ../paced.py


def train_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))[:-1]


def read(folder: Path) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, int]]:
    """Columns (N,), int64 or float32; labels (N, 2) float32; the sizes of the vocabularies."""
    files, columns, sizes = train_files(folder), {}, {}
    for name in IDS + NUMBERS:
        table = pa.concat_tables(pq.read_table(file, columns=[name]) for file in files)
        column = table[name].combine_chunks()
        if name in IDS:
            encoded = column.dictionary_encode()
            sizes[name] = len(encoded.dictionary)
            columns[name] = encoded.indices.to_numpy().astype(np.int64)
        else:
            columns[name] = pc.fill_null(column, 0.0).to_numpy().astype(np.float32)
    tables = pa.concat_tables(pq.read_table(file, columns=LABELS) for file in files)
    labels = np.stack([tables[name].to_numpy() for name in LABELS], axis=1).astype(np.float32)
    return columns, labels, sizes


def prepare(folder: Path) -> dict[str, float]:
    """Seconds of each part."""
    times = [time.perf_counter()]
    columns = IDS + NUMBERS + LABELS
    frame = pd.concat(pd.read_parquet(file, columns=columns) for file in train_files(folder))
    times.append(time.perf_counter())
    encoders = {name: LabelEncoder().fit(frame[name]) for name in IDS}
    times.append(time.perf_counter())
    for name, encoder in encoders.items():
        frame[name] = encoder.transform(frame[name])
    frame[NUMBERS] = frame[NUMBERS].fillna(0.0)
    times.append(time.perf_counter())
    taken = np.diff(times).tolist()
    return {**dict(zip(("decode", "fit", "encode"), taken, strict=True)), "rows": len(frame)}


def cuts(count: int) -> Iterator[torch.Tensor]:
    """Places of shuffled batches without end."""
    while True:
        yield from torch.split(torch.randperm(count), BATCH)[:-1]


def serve(steps: int, train: Callable[[int], None], score: Callable[[int], None]) -> None:
    """For each line that comes in, `train` or `score`, do so many steps and print rows and seconds.

    Training takes WARM steps more, untimed, before them.
    """
    print("ready", flush=True)
    for line in sys.stdin:
        with redirect_stdout(sys.stderr):
            if line.strip() == "train":
                train(WARM)
            start = time.perf_counter()
            {"train": train, "score": score}[line.strip()](steps)
        seconds = time.perf_counter() - start
        print(json.dumps({"rows": steps * BATCH, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    print(json.dumps(prepare(Path(sys.argv[1]))))
