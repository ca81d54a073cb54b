"""Encoded train rows in, the same with some rare ids hidden out.

An id hardly ever seen on train now and then reads the unknown row instead, so that this row is
trained on what it will stand for.
"""

import numpy as np

from recmtl.batch import Slot
from recmtl.data.encoder import Encoder
from recmtl.data.storage.rowfiles import Rows
from recmtl.data.vocabulary import UNKNOWN

AT_MOST, SHARE = 3, 0.05


class RareIds:
    """Which rows of each vocabulary hold a value seen at most AT_MOST times on train."""

    def __init__(self, encoder: Encoder) -> None:
        self._layout, fitted = encoder.layout, encoder.fitted
        found = {name: rows.rare(AT_MOST) for name, rows in fitted.vocabularies.items()}
        rare = {name: flags if flags.any() else None for name, flags in found.items()}
        slots = (*encoder.layout.slots, *encoder.layout.lists)
        self._rare = {slot.name: rare[fitted.owner(slot.name)] for slot in slots}

    def hide(self, rows: Rows, generator: np.random.Generator) -> Rows:
        """SHARE of the rare ids, chosen by `generator`, read the unknown row; `rows` is left as it is."""
        matrix = rows.matrices["rows"].copy()
        for place, slot in enumerate(self._layout.slots):
            self._hide(slot, matrix[:, place], generator)
        lists = dict(rows.lists)
        for slot in self._layout.lists:
            values, offsets = lists[slot.name]
            lists[slot.name] = values.copy(), offsets
            self._hide(slot, lists[slot.name][0], generator)
        return Rows({**rows.matrices, "rows": matrix}, lists)

    def _hide(self, slot: Slot, rows: np.ndarray, generator: np.random.Generator) -> None:
        rare = self._rare[slot.name]
        if rare is not None:
            candidates = np.flatnonzero(rare[rows - slot.first])
            rows[candidates[generator.random(len(candidates)) < SHARE]] = slot.first + UNKNOWN
