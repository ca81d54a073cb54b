"""torch-rechub's models on W1a, in memory: steps on demand, timed.

    python rechub.py W1 STEPS own|cut mmoe|shared_bottom|esmm [USERS]

in an environment with torch-rechub 0.9.0. Its own trainer trains and scores. With `own` its
DataGenerator makes the batches, as its documentation has it; with `cut` they are cut from the arrays by
index, which spares it that row-wise loader. USERS is a size for the table of users beyond those that
occur.
"""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from rows import BATCH, IDS, NUMBERS, WIDTH, cuts, read, serve
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.multi_task import ESMM, MMOE, SharedBottom
from torch_rechub.trainers import MTLTrainer
from torch_rechub.utils.data import DataGenerator

Batch = tuple[dict[str, torch.Tensor], torch.Tensor]


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


def cut_batches(columns: dict[str, np.ndarray], labels: np.ndarray) -> Iterator[Batch]:
    tensors = {name: torch.from_numpy(values) for name, values in columns.items()}
    for chosen in cuts(len(labels)):
        yield {name: values[chosen] for name, values in tensors.items()}, torch.from_numpy(labels)[chosen]


def own_batches(columns: dict[str, np.ndarray], labels: np.ndarray) -> Iterator[Batch]:
    """The library's own loader without end."""
    made = DataGenerator(columns, labels).generate_dataloader(
        x_val=columns, y_val=labels, x_test=columns, y_test=labels, batch_size=BATCH
    )
    while True:
        yield from made[0]


def main() -> None:
    folder, steps, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[4]
    torch.manual_seed(1)
    columns, labels, sizes = read(folder)
    if len(sys.argv) > 5:
        sizes["user_id"] = int(sys.argv[5])
    if kind == "esmm":  # cvr, which it leaves out of the loss, ctr and ctcvr
        labels = labels[:, [1, 0, 1]]
    source = (own_batches if sys.argv[3] == "own" else cut_batches)(columns, labels)
    trainer = build(kind, sizes)
    serve(steps, train=lambda count: trainer.train_one_epoch(islice(source, count)),
          score=lambda count: trainer.predict(trainer.model, (x for x, _ in islice(source, count))))


if __name__ == "__main__":
    main()
