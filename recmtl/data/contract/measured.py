"""One column on one day, measured: sampled values and Parquet's own statistics go in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from recmtl.data.contract.distribution import Bins
from recmtl.data.contract.sample import Kind, flat
from recmtl.data.query import statement

Stated = Mapping[str, Mapping[str, Any]]  # column → nulls, rows, least, most


@dataclass(frozen=True)
class Column:
    """Shares are of rows, those of zeros and unknown values of known ones; None is not measured.

    `distinct` counts ids of the sample, or, where there are many, of the day (`per_row`: over rows).
    `same` is the only list of a sample.
    `drift` is the distance to the first day and to the day before, and how much of it chance may make.
    """

    nulls: float
    zeros: float | None = None
    unknown: float | None = None
    distinct: int | None = None
    per_row: float | None = None
    extent: tuple[str, str] | None = None
    bins: Bins | None = None
    counts: tuple[int, ...] = ()
    drift: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    same: str | None = None

    @property
    def known(self) -> int:
        """Values that were sampled, elements of lists one by one."""
        return sum(self.counts)

    @property
    def constant(self) -> str | None:
        """The only value of the day."""
        if self.same is not None:
            return self.same
        same = self.extent and self.extent[0] == self.extent[1] and (self.distinct or 0) <= 1
        return self.extent[0] if self.extent and same else None

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "bins": self.bins.to_json() if self.bins else None}

    @classmethod
    def from_json(cls, read: Mapping[str, Any]) -> "Column":
        return cls(**{
            **read, "bins": Bins.from_json(read["bins"]) if read["bins"] else None,
            "extent": tuple(read["extent"]) if read["extent"] else None,
            "counts": tuple(read["counts"]), "drift": {n: tuple(d) for n, d in read["drift"].items()},
        })


def measure(sampled: pa.ChunkedArray, kind: Kind, stated: Mapping[str, Any] | None) -> Column:
    """A column by itself: nulls and extent as the files state them, the rest of the sample."""
    extent = stated["extent"] if stated else None
    nulls = stated["nulls"] if stated else sampled.null_count / max(len(sampled), 1)
    if kind == "vector":
        return Column(nulls=nulls, extent=extent)
    values, _ = flat(sampled)
    bins = Bins.of(values, number=kind == "number")
    return Column(
        nulls=nulls, zeros=_zeros(sampled, values, kind), extent=extent, bins=bins,
        distinct=None if kind == "number" else pc.count_distinct(values).as_py(),
        counts=tuple(bins.count(values)), same=_only_list(sampled) if kind == "lists" else None,
    )


def _only_list(sampled: pa.ChunkedArray) -> str | None:
    """The list that all rows with one hold, where it is not empty."""
    lists = sampled.drop_null()
    lengths = pc.list_value_length(lists).to_numpy()
    if not len(lengths) or lengths.min() != lengths.max() or not lengths[0]:
        return None
    elements = pc.list_flatten(lists).combine_chunks().dictionary_encode()
    codes = pc.fill_null(elements.indices, -1).to_numpy(zero_copy_only=False).reshape(-1, lengths[0])
    return str(lists[0].as_py()) if (codes == codes[0]).all() else None


def stated(db: duckdb.DuckDBPyConnection, files: Sequence[str]) -> Stated:
    """What the files' statistics say of each column that is no list."""
    found = db.execute(statement("contract_statistics", files=exp.convert(list(files)))).fetchall()
    return {
        name: {"nulls": nulls / rows, "extent": (least, most) if bounded == chunks > 0 else None}
        for name, rows, nulls, least, most, chunks, bounded in found if nulls is not None and rows
    }


def _zeros(sampled: pa.ChunkedArray, values: pa.Array, kind: Kind) -> float | None:
    """Of numbers those that are 0, of lists those that are empty."""
    if kind == "ids":
        return None
    if kind == "lists":
        lengths = pc.list_value_length(sampled.drop_null()).to_numpy()
        return float(np.mean(lengths == 0)) if len(lengths) else None
    return float(np.mean(values.to_numpy(zero_copy_only=False) == 0)) if len(values) else None
