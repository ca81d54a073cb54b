"""Shards in, batches out: one background thread gathers them while the model computes."""

from collections.abc import Iterator, Mapping
from copy import copy
from functools import cache
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from recmtl.batch import Batch, Ragged
from recmtl.data.shards import Shards
from recmtl.data.storage.prefetch import prefetched
from recmtl.data.storage.resident import Resident, fits_on
from recmtl.data.storage.rowfiles import Rows, size_of
from recmtl.data.storage.together import TOGETHER, mixed_runs, runs_of
from recmtl.seed import numpy_generator

BLOCK_ROWS = 1 << 12  # read as they lie on disk
WINDOW_BLOCKS = 32  # shuffled together
AHEAD = 4  # batches made beforehand


class Loader:
    """Every row once an epoch, the last batch smaller where the rows do not divide evenly.

    With a seed, blocks of rows are permuted and rows shuffled within windows of blocks, the same way
    for the same seed and epoch; without one, rows come in order. Rows that belong together are shuffled
    as one: they come in one batch, but for those that its end cuts.

    `part` = (i, n) gives the share of the i-th of n processes: an n-th of each shuffled batch, which
    then has n · batch_size rows, or of rows in order a stretch; all have equally many batches, though
    the last may be empty.

    On a GPU whose memory has room for them, all rows lie there from the first epoch on; else batches
    are copied to it while those before them are used. `resident`, where it is set, decides.
    """

    def __init__(
        self, shards: Shards, batch_size: int, *, seed: int | None = None, device: str = "cpu",
        part: tuple[int, int] = (0, 1),
    ) -> None:
        self._shards, self._size, self._seed, self._part = shards, batch_size, seed, part
        self._device = torch.device(device)
        self._only: np.ndarray | None = None
        self.rows = len(shards)
        content = shards.content
        self._content = Rows(
            {name: np.asarray(matrix) for name, matrix in content.matrices.items()},
            {name: (np.asarray(v), np.asarray(o)) for name, (v, o) in content.lists.items()},
        )
        self._runs = None if seed is None or shards.together is None else runs_of(shards.together)
        self.resident: bool | None = None
        # Of loaders over some of these rows, too: all rows lie on a device once.
        held, there = self._content, self._device
        self._fits = cache(lambda: fits_on(there, size_of(held)))
        self._rows_there = cache(lambda: Resident(held, there))

    def only(self, places: np.ndarray) -> "Loader":
        """A loader like this one of the rows at `places` (n,) alone."""
        some, together = copy(self), self._shards.together
        some._only, some.rows = places, len(places)
        if self._runs is not None and together is not None:
            some._runs = runs_of(together.take(places))
        return some

    def __len__(self) -> int:
        """Batches an epoch."""
        whole = self._size * self._part[1]
        return (self.rows + whole - 1) // whole

    def batches(self, epoch: int = 0, skip: int = 0) -> Iterator[Batch]:
        """The batches of an epoch on the device, without the first `skip`, which are not even read.

        An exception in the background is raised here.
        """
        chosen = self._in_order(skip) if self._seed is None else self._shuffled(self._seed, epoch, skip)
        only = self._only
        if only is not None:
            chosen = ((only.take(places).astype(np.int64), whole) for places, whole in chosen)
        if self.resident is None:
            self.resident = self._fits()
        if self.resident:
            there = self._rows_there()
            sent = ((there.sent(places), whole) for places, whole in chosen)
            for places, whole in prefetched(sent, AHEAD):
                yield self._batch(*there.take(places), whole)
            return
        made = prefetched((self._read(places, whole) for places, whole in chosen), AHEAD)
        yield from made if self._device.type == "cpu" else _moved(made, self._device)

    def _in_order(self, skip: int) -> Iterator[tuple[np.ndarray, int | None]]:
        own, count = self._part
        begin, end = (self.rows * (own + i) // count for i in (0, 1))
        longest = max(-(-self.rows // count), 1)
        for first in range(begin + skip * self._size, begin + longest, self._size):
            yield np.arange(first, min(first + self._size, end)), None

    def _shuffled(self, seed: int, epoch: int, skip: int) -> Iterator[tuple[np.ndarray, int | None]]:
        generator = numpy_generator(seed, "loader", epoch)
        own, count = self._part
        batches = _places(self.rows, self._size * count, generator, self._runs)
        for places in islice(batches, skip, None):
            yield np.array_split(places, count)[own], len(places)

    def _read(self, places: np.ndarray, whole: int | None) -> Batch:
        """Rows from the files, ready to be copied to the device."""
        rows = self._content.take(places)
        matrices = {name: torch.from_numpy(matrix) for name, matrix in rows.matrices.items()}
        lists = {
            name: Ragged(torch.from_numpy(values), torch.from_numpy(offsets))
            for name, (values, offsets) in rows.lists.items()
        }
        batch = self._batch(matrices, lists, whole)
        return batch.pin_memory() if self._device.type == "cuda" else batch

    def _batch(
        self, matrices: Mapping[str, Tensor], lists: Mapping[str, Ragged], whole: int | None
    ) -> Batch:
        labels, together = matrices["labels"].t().contiguous(), matrices.get(TOGETHER)
        return Batch(
            rows=matrices["rows"], dense=matrices["dense"], weight=matrices["weight"].squeeze(1),
            lists=lists, labels=dict(zip(self._shards.layout.labels, labels, strict=True)),
            origin=matrices["origin"], whole=whole,
            together=None if together is None else together.squeeze(1),
        )


def _moved(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """Each batch on the GPU, copied there while the one before it is used."""
    copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    before: tuple[Batch, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(copying):
            after = batch.to(device), copying.record_event()
        if before is not None:
            yield _arrived(*before)
        before = after
    if before is not None:
        yield _arrived(*before)


def _arrived(batch: Batch, copied: "torch.cuda.Event") -> Batch:
    stream = torch.cuda.current_stream()
    stream.wait_event(copied)
    for tensor in batch.tensors():
        tensor.record_stream(stream)  # its memory is not given to a later copy while it is read here
    return batch


def _places(
    count: int, size: int, generator: np.random.Generator, runs: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Places of `count` rows in batches of `size`, shuffled window by window; rows of a run as one."""
    blocks = generator.permutation(-(-count // BLOCK_ROWS))
    left = np.empty(0, dtype=np.int64)
    for start in range(0, len(blocks), WINDOW_BLOCKS):
        window = [
            np.arange(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, count))
            for block in blocks[start : start + WINDOW_BLOCKS]
        ]
        mixed = (
            generator.permutation(np.concatenate(window)) if runs is None
            else mixed_runs(window, runs, generator)
        )
        left = np.concatenate([left, mixed])
        whole = len(left) // size * size
        yield from left[:whole].reshape(-1, size)
        left = left[whole:]
    if len(left):
        yield left
