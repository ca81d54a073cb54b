"""torch-rechub's models on W1a, in memory: steps on demand, timed.

    python rechub.py W1 STEPS own|cut mmoe|shared_bottom|esmm [USERS]

in an environment with torch-rechub 0.9.0 and pyarrow.

Prints "ready", then for each line on standard input trains STEPS steps with the library's own trainer
and prints {"rows": …, "seconds": …}. With `own` its DataGenerator makes the batches, as its
documentation has it; with `cut` they are cut from the arrays by index, which spares it that row-wise
loader. USERS is a size for the table of users beyond those that occur.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.multi_task import ESMM, MMOE, SharedBottom
from torch_rechub.trainers import MTLTrainer
from torch_rechub.utils.data import DataGenerator

IDS = ["user_id", "item_id", *(f"c{i:02d}" for i in range(14))]
NUMBERS = [f"d{i}" for i in range(8)]
LABELS = ["click", "conversion"]
BATCH = 4096
WIDTH = 16


def read(folder: Path) -> tuple[dict[str, torch.Tensor], torch.Tensor, dict[str, int]]:
    """The train files: ids as rows of their vocabularies, numbers with nulls as 0, labels (N, 2)."""
    files = sorted(folder.glob("part-*.parquet"))[:-1]
    columns: dict[str, torch.Tensor] = {}
    sizes: dict[str, int] = {}
    for name in IDS + NUMBERS:
        table = pa.concat_tables(pq.read_table(file, columns=[name]) for file in files)
        column = table[name].combine_chunks()
        if name in IDS:
            encoded = column.dictionary_encode()
            sizes[name] = len(encoded.dictionary)
            values = encoded.indices.to_numpy().astype(np.int64)
        else:
            values = pc.fill_null(column, 0.0).to_numpy().astype(np.float32)
        columns[name] = torch.from_numpy(values)
    tables = pa.concat_tables(pq.read_table(file, columns=LABELS) for file in files)
    labels = np.stack([tables[name].to_numpy() for name in LABELS], axis=1).astype(np.float32)
    return columns, torch.from_numpy(labels), sizes


def build(kind: str, sizes: dict[str, int]) -> MTLTrainer:
    """Of the sizes of w1a.toml. Its ESMM takes no numbers."""
    ids = [SparseFeature(name, sizes[name], WIDTH) for name in IDS]
    features, tasks = [*ids, *(DenseFeature(name) for name in NUMBERS)], ["classification"] * 2
    tower, bottom = ({"dims": dims, "activation": "relu"} for dims in ([64, 32], [256, 128]))
    if kind == "esmm":
        own = {"dims": [256, 128, 64], "activation": "relu"}
        model, tasks = ESMM(ids[:1], ids[1:], own, own), ["classification"] * 3
    elif kind == "shared_bottom":
        model = SharedBottom(features, tasks, bottom, [tower, tower])
    else:
        model = MMOE(features, tasks, 4, bottom, [tower, tower])
    return MTLTrainer(model, tasks, optimizer_params={"lr": 1e-3})


def batches(
    columns: dict[str, torch.Tensor], labels: torch.Tensor
) -> Iterator[tuple[dict[str, torch.Tensor], torch.Tensor]]:
    """Shuffled batches without end."""
    while True:
        for chosen in torch.randperm(len(labels)).split(BATCH)[:-1]:
            yield {name: values[chosen] for name, values in columns.items()}, labels[chosen]


def own_batches(columns: dict[str, torch.Tensor], labels: torch.Tensor) -> Iterator[object]:
    """The library's own loader without end."""
    arrays = {name: values.numpy() for name, values in columns.items()}
    made = DataGenerator(arrays, labels.numpy()).generate_dataloader(
        x_val=arrays, y_val=labels, x_test=arrays, y_test=labels, batch_size=BATCH
    )
    while True:
        yield from made[0]


class Block:
    """So many of the next batches, as the trainer's loader."""

    def __init__(self, source: Iterator[object], steps: int) -> None:
        self.source, self.steps = source, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[object]:
        return (next(self.source) for _ in range(self.steps))


def main() -> None:
    folder, steps = Path(sys.argv[1]), int(sys.argv[2])
    torch.manual_seed(1)
    columns, labels, sizes = read(folder)
    kind = sys.argv[4]
    if len(sys.argv) > 5:
        sizes["user_id"] = int(sys.argv[5])
    if kind == "esmm":  # cvr, which it leaves out of the loss, ctr and ctcvr
        labels = labels[:, [1, 0, 1]]
    make = own_batches if sys.argv[3] == "own" else batches
    trainer, source = build(kind, sizes), make(columns, labels)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        with redirect_stdout(sys.stderr):
            trainer.train_one_epoch(Block(source, steps))
        seconds = time.perf_counter() - start
        print(json.dumps({"rows": steps * BATCH, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
