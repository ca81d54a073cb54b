"""Examples in, the weight of each row out: the log's own, halved on train with every half-life of age."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recmtl.data.examples import DAY, PART, PARTS, Examples
from recmtl.schema import Data, TimeSplit
from recmtl.schema.times import day_in

WEIGHT = "_weight"


class Weights:
    """Of the rows of `examples`; `columns` are those that tell."""

    def __init__(self, data: Data, examples: Examples) -> None:
        self._half_life, split = data.half_life_days, data.split
        self._weighted = WEIGHT in examples.columns
        if isinstance(split, TimeSplit):  # others take no half-life
            self._end = np.datetime64(day_in(split.valid, examples.manifest["zone"]), "D")
        self.columns = [*([WEIGHT] if self._weighted else []), *([DAY] if self._half_life else [])]

    def of(self, table: pa.Table) -> np.ndarray:
        """(B,) float32; `table` holds `columns` and the part of each row.

        A train row's is times 2^(−age / half-life), its age the days from its own to the first of valid.
        """
        weight = np.ones(len(table))
        if self._weighted:
            weight = table[WEIGHT].to_numpy().astype(np.float64)
        if self._half_life:
            age = (self._end - table[DAY].to_numpy().astype("M8[D]")).astype(np.float64)
            # Days that a log names itself may lie behind the times that split it.
            factor = np.exp2(-np.maximum(age, 0.0) / self._half_life)
            train = pc.equal(table[PART], PARTS[0]).fill_null(False).to_numpy()
            weight = np.where(train, weight * factor, weight)
        return weight.astype(np.float32)
