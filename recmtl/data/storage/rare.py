"""Encoded train rows in, the same with some rare ids hidden out.

An id hardly ever seen on train now and then reads the unknown row instead, so that this row is
trained on what it will stand for.
"""

import numpy as np

from recmtl.batch import Slot
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
        rare = {name: flags if flags.any() else None for name, flags in found.items()}
        slots = (*encoder.layout.slots, *encoder.layout.lists)
        self._rare = {slot.name: rare[fitted.owner(slot.name)] for slot in slots}
        self._streams = {slot.name: np.uint64(stream(seed, "rare ids", slot.name)) for slot in slots}

    def hide(self, rows: Rows) -> Rows:
        """SHARE of the rare ids read the unknown row; `rows` is left as it is."""
        matrix = rows.matrices["rows"].copy()
        files, lines = rows.matrices["origin"].T.astype(np.uint64)
        places = (files << np.uint64(32)) | lines
        for number, slot in enumerate(self._layout.slots):
            self._hide(slot, matrix[:, number], places)
        lists = dict(rows.lists)
        for slot in self._layout.lists:
            values, offsets = lists[slot.name]
            owners = np.repeat(np.arange(len(rows)), np.diff(offsets))
            within = np.arange(len(values)) - offsets[owners]
            lists[slot.name] = values.copy(), offsets
            self._hide(slot, lists[slot.name][0], mix(places[owners]) + within.astype(np.uint64))
        return Rows({**rows.matrices, "rows": matrix}, lists)

    def _hide(self, slot: Slot, rows: np.ndarray, places: np.ndarray) -> None:
        rare = self._rare[slot.name]
        if rare is not None:
            candidates = np.flatnonzero(rare[rows - slot.first])
            drawn = mix(mix(places[candidates]) ^ self._streams[slot.name]) / 2.0**64
            rows[candidates[drawn < SHARE]] = slot.first + UNKNOWN
