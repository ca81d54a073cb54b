"""Encoded train rows in, the same with some rare ids hidden out.

An id hardly ever seen on train now and then reads the unknown row instead, so that this row is
trained on what it will stand for.
"""

import numpy as np

from recmtl.batch import Slot
from recmtl.data import native
from recmtl.data.encoder import Encoder
from recmtl.data.encoding.hashing import mix
from recmtl.data.storage.rowfiles import Rows
from recmtl.data.vocabulary import UNKNOWN
from recmtl.seed import stream

AT_MOST, SHARE = 3, 0.05


class RareIds:
    """Which rows of each vocabulary hold a value seen at most AT_MOST times on train.

    Which of them are hidden is told by seed, feature and place in the log, however the rows are cut into
    blocks: an engine cuts them as it likes.
    """

    def __init__(self, encoder: Encoder, seed: int) -> None:
        self._layout, fitted = encoder.layout, encoder.fitted
        found = {name: rows.rare(AT_MOST) for name, rows in fitted.vocabularies.items()}
        self._rare = {
            slot.name: (found[owner], stream(seed, "rare ids", slot.name))
            for slot in (*encoder.layout.slots, *encoder.layout.lists)
            for owner in [fitted.owner(slot.name)] if found[owner].any()
        }

    def hide(self, rows: Rows, chosen: np.ndarray) -> None:
        """Of the rows `chosen`, (n,) int64, SHARE of the rare ids read the unknown row from now on."""
        files, lines = rows.matrices["origin"].take(chosen, axis=0).T.astype(np.uint64)
        places = (files << np.uint64(32)) | lines
        for number, slot in enumerate(self._layout.slots):
            if slot.name in self._rare:
                self._hide(slot, rows.matrices["rows"][:, number], chosen, places)
        for slot in self._layout.lists:
            if slot.name in self._rare:
                values, offsets = rows.lists[slot.name]
                self._hide(slot, values, chosen, places, offsets)

    def _hide(
        self, slot: Slot, rows: np.ndarray, chosen: np.ndarray, places: np.ndarray,
        offsets: np.ndarray | None = None,
    ) -> None:
        """`rows` has one a place, or those of a list, each of which has a place of its own."""
        rare, stream = self._rare[slot.name]
        if native.compiled():
            told = native.Rare(rare, slot.first, slot.first + UNKNOWN, stream, SHARE)
            native.hide(told, rows, chosen, places, offsets)
            return
        if offsets is not None:
            lengths = offsets[chosen + 1] - offsets[chosen]
            within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            chosen = np.repeat(offsets[chosen], lengths) + within
            places = mix(np.repeat(places, lengths)) + within.astype(np.uint64)
        candidates = np.flatnonzero(rare[rows[chosen] - slot.first])
        drawn = mix(mix(places[candidates]) ^ np.uint64(stream)) / 2.0**64
        rows[chosen[candidates[drawn < SHARE]]] = slot.first + UNKNOWN
