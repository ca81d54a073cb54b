"""A part of the shards that lies on a device whole: places of rows in, the rows out, all there."""

import numpy as np
import torch
from torch import Tensor

from recmtl.batch import Ragged
from recmtl.data.storage.rowfiles import Rows

SHARE = 0.5  # of a GPU's memory that rows may take, beside what the model takes twice


def fits_on(device: torch.device, rows: int) -> bool:
    """Whether so many bytes of rows may lie on the device beside model and activations.

    The model lies there already; a step's sums of gradients take as much again.
    """
    if device.type != "cuda":
        return False
    held = torch.cuda.memory_allocated(device)
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - held
    return rows <= SHARE * (free - held)


class Resident:
    """The rows of `content` on a device."""

    def __init__(self, content: Rows, device: torch.device) -> None:
        self._device = device
        self._matrices = {name: self._there(matrix) for name, matrix in content.matrices.items()}
        self._lists = {name: [self._there(a) for a in pair] for name, pair in content.lists.items()}
        self._offsets = {name: offsets for name, (_, offsets) in content.lists.items()}

    def sent(self, places: np.ndarray) -> Tensor:
        """Places of rows as `take` wants them; another thread may make them ready."""
        ready = torch.from_numpy(places)
        return ready.pin_memory() if self._device.type == "cuda" else ready

    def take(self, places: Tensor) -> tuple[dict[str, Tensor], dict[str, Ragged]]:
        """Matrices and lists of the rows at `places`, in that order; nothing waits for the device."""
        there = places.to(self._device, non_blocking=True)
        matrices = {name: matrix.index_select(0, there) for name, matrix in self._matrices.items()}
        return matrices, {name: self._taken(name, there, places.numpy()) for name in self._lists}

    def _taken(self, name: str, there: Tensor, places: np.ndarray) -> Ragged:
        values, offsets = self._lists[name]
        begins = offsets.index_select(0, there)
        lengths = offsets.index_select(0, there + 1) - begins
        ends = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
        known = self._offsets[name]  # on the CPU too: how long the lists are together, without a wait
        total = int((known.take(places + 1) - known.take(places)).sum())
        source = torch.repeat_interleave(begins - ends[:-1], lengths, output_size=total)
        return Ragged(values.index_select(0, source + torch.arange(total, device=self._device)), ends)

    def _there(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, device=self._device)
