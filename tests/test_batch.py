"""Batches with room: what a recorded step reads its batches from."""

import torch

from recmtl.batch import Ragged
from recmtl.suite.made_up import make_batch


def test_a_copy_with_room_holds_the_same_in_tensors_of_its_own() -> None:
    batch = make_batch(20)
    copy = batch.with_room(1.5)
    for name, ragged in batch.lists.items():
        size = len(ragged.values)
        assert len(copy.lists[name].values) == int(size * 1.5) + 1
        assert torch.equal(copy.lists[name].values[:size], ragged.values)
        assert torch.equal(copy.lists[name].offsets, ragged.offsets)
    assert torch.equal(copy.rows, batch.rows)
    for mine, theirs in zip(copy.tensors(), batch.tensors(), strict=True):
        assert mine.data_ptr() != theirs.data_ptr()


def test_what_fits_has_as_many_rows_and_no_more_values() -> None:
    batch = make_batch(20)
    room = batch.with_room(1.0)
    assert batch.fits_into(room) and not room.fits_into(batch)
    assert not make_batch(19).fits_into(room)
    (first, ragged), *_ = batch.lists.items()
    batch.lists[first] = Ragged(ragged.values.repeat(3), ragged.offsets)  # type: ignore[index]
    assert not batch.fits_into(room)
