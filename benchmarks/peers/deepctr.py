"""DeepCTR-Torch's models on W1a, in memory: steps on demand, timed.

    python deepctr.py W1 STEPS own|cut mmoe|shared_bottom|esmm [USERS]

in an environment with deepctr-torch 0.3.0. Its own `fit` and `predict` train and score. They read one
matrix of floats, in which ids beyond 2^24 would collide: here an id is a row of its vocabulary. With
`own` torch's DataLoader makes the batches, row by row, as the library has it; with `cut` they are cut
from the matrix. USERS is a size for the table of users beyond those that occur.
"""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from deepctr_torch.inputs import DenseFeat, SparseFeat
from deepctr_torch.models import ESMM, MMOE, SharedBottom, basemodel
from rows import BATCH, IDS, NUMBERS, WIDTH, cuts, read, serve
from torch.utils.data import TensorDataset

TASKS = {"task_names": ["ctr", "ctcvr"], "task_types": ["binary", "binary"]}
TOWER, BOTTOM = [64, 32], [256, 128]


def build(kind: str, sizes: dict[str, int]) -> basemodel.BaseModel:
    """Of the sizes of w1a.toml, with gates of one layer; all else is the library's default."""
    features = [*(SparseFeat(name, sizes[name], WIDTH) for name in IDS), *map(DenseFeat, NUMBERS)]
    if kind == "esmm":
        model = ESMM(features, [256, 128, 64], **TASKS)
    elif kind == "shared_bottom":
        model = SharedBottom(features, BOTTOM, TOWER, **TASKS)
    else:
        model = MMOE(features, 4, BOTTOM, [], TOWER, **TASKS)
    model.compile(torch.optim.Adam(model.parameters(), 1e-3), "binary_crossentropy")
    return model


class Cut:
    """The same batches as the DataLoader's, cut by index."""

    def __init__(self, dataset: TensorDataset, batch_size: int, shuffle: bool) -> None:
        self.dataset, self.size = dataset, batch_size

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        places = torch.split(torch.arange(len(self.dataset)), self.size)
        return (self.dataset[some] for some in places)


def main() -> None:
    folder, steps, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[4]
    columns, labels, sizes = read(folder)
    if len(sys.argv) > 5:
        sizes["user_id"] = int(sys.argv[5])
    model = build(kind, sizes)
    matrix = np.stack([columns.pop(name).astype(np.float32) for name in IDS + NUMBERS], axis=1)
    if sys.argv[3] == "cut":
        basemodel.DataLoader = Cut
    places = cuts(len(labels))

    def block(count: int) -> np.ndarray:
        return torch.cat(list(islice(places, count))).numpy()

    def train(count: int) -> None:
        chosen = block(count)
        model.fit([matrix[chosen]], labels[chosen], BATCH, verbose=0)

    serve(steps, train=train, score=lambda count: model.predict([matrix[block(count)]], BATCH))


if __name__ == "__main__":
    main()
