"""Encoded train rows in, the same with some rare ids hidden out.

An id hardly ever seen on train now and then reads the unknown row instead, so that this row is
trained on what it will stand for.
"""

from dataclasses import replace

import numpy as np

from recmtl.batch import Slot
from recmtl.data.encoder import Encoded, Encoder
from recmtl.data.vocabulary import UNKNOWN

AT_MOST, SHARE = 3, 0.05


class RareIds:
    """Which rows of each vocabulary hold a value seen at most AT_MOST times on train."""

    def __init__(self, encoder: Encoder) -> None:
        self._layout, fitted = encoder.layout, encoder.fitted
        rare = {name: rows.rare(AT_MOST) for name, rows in fitted.vocabularies.items()}
        slots = (*encoder.layout.slots, *encoder.layout.lists)
        self._rare = {slot.name: rare[fitted.owner(slot.name)] for slot in slots}

    def hide(self, encoded: Encoded, generator: np.random.Generator) -> Encoded:
        """SHARE of the rare ids, chosen by `generator`, read the unknown row."""
        rows = encoded.rows.copy()
        for place, slot in enumerate(self._layout.slots):
            rows[:, place] = self._hidden(slot, rows[:, place], generator)
        lists = {
            slot.name: (self._hidden(slot, values, generator), offsets)
            for slot in self._layout.lists
            for values, offsets in [encoded.lists[slot.name]]
        }
        return replace(encoded, rows=rows, lists=lists)

    def _hidden(self, slot: Slot, rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        out = rows.copy()
        candidates = np.flatnonzero(self._rare[slot.name][rows - slot.first])
        out[candidates[generator.random(len(candidates)) < SHARE]] = slot.first + UNKNOWN
        return out
