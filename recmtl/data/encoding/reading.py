"""A table in; the ids, lists and numbers of each feature out, or an error that names the column."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import numpy as np
import pyarrow as pa

from recmtl.data.encoding import canonical
from recmtl.data.encoding.lookup import cross, id_type, last_of
from recmtl.data.encoding.statistics import Scale, Scaled, fill, scales_of
from recmtl.errors import RecmtlError, nearest
from recmtl.schema import Bag, Computed, Count, Cross, Feature, History, Numeric, Rate, Vector
from recmtl.schema.features import inputs_of

T = TypeVar("T")


class Reader:
    """One table, read feature by feature; `columns` are those that they read, with their types.

    Raises RecmtlError where a column is missing.
    """

    def __init__(
        self, table: pa.Table, features: Mapping[str, Feature], columns: Mapping[str, str]
    ) -> None:
        self._table, self._features, self._columns = table, features, columns
        there = set(table.column_names)
        missing = [name for name in columns if name not in there]
        if missing:
            raise RecmtlError(
                f"no column {missing[0]!r}, which a feature reads",
                where="the table to encode", expected=", ".join(columns),
                found=", ".join(table.column_names), fix=nearest(missing[0], table.column_names),
            )

    def ids(self, name: str) -> pa.Array:
        """(B,) ids of a categorical or a cross."""
        feature, source = self._feature(name)
        if isinstance(feature, Cross):
            return cross([self._ids_in(column) for column in source])
        return self._ids_in(source[0])

    def lists(self, name: str) -> tuple[pa.Array, np.ndarray]:
        """Values and (B + 1,) offsets of a bag or a history."""
        feature, (column,) = self._feature(name)
        kind = id_type(feature, self._columns, (column,))
        separator = feature.separator if isinstance(feature, Bag) else None
        values, offsets = self._checked(
            column, lambda array: canonical.lists(array, kind, separator)
        )
        if isinstance(feature, History):
            return last_of(values, offsets, feature.last)
        return values, offsets

    def dense(self, widths: Mapping[str, int], scales: Mapping[str, Scale]) -> np.ndarray:
        """(B, D) float32: vectors as they are; numbers scaled, a feature's first with a missing flag."""
        out = np.empty((self._table.num_rows, sum(widths.values())), dtype=np.float32)
        numbers: list[Scaled] = []
        begin = 0
        for name, width in widths.items():
            feature = self._features[name]
            if isinstance(feature, Vector):
                out[:, begin : begin + width] = self._vectors(name, feature)
            elif isinstance(feature, Computed):
                out[:, begin : begin + width] = self._computed(name, feature)
            else:
                numbers += self._numbers(name, feature, begin, scales)
            begin += width
        fill(numbers, out)
        return out

    def _vectors(self, name: str, feature: Vector) -> np.ndarray:
        (column,) = inputs_of(name, feature)
        return self._checked(column, lambda array: canonical.vectors(array, feature.size))

    def numbers(self, column: str) -> pa.Array:
        """(B,) float64."""
        return self._checked(column, canonical.numbers)

    def _computed(self, name: str, feature: Computed) -> np.ndarray:
        read = {
            c: self.numbers(c).fill_null(np.nan).to_numpy(zero_copy_only=False)
            for c in inputs_of(name, feature)
        }
        where = f"[features] {name}, a plug-in's {feature.kind!r}"
        try:
            found = np.asarray(feature.compute(read), dtype=np.float32)
        except Exception as error:  # whatever a plug-in's code does
            raise RecmtlError(f"{type(error).__name__}: {error}", where=where) from error
        if found.shape != (self._table.num_rows, feature.size) or not np.isfinite(found).all():
            raise RecmtlError(
                "what it computes does not fit", where=where,
                expected=f"finite numbers ({self._table.num_rows}, {feature.size})",
                found=f"{found.shape}, {int((~np.isfinite(found)).sum())} of them not finite",
            )
        return found

    def _numbers(
        self, name: str, feature: Feature, begin: int, scales: Mapping[str, Scale]
    ) -> Iterator[Scaled]:
        assert isinstance(feature, Numeric | Rate | Count)
        for place, (column, scale, _) in enumerate(scales_of(name, feature)):
            into, flag = (begin + place + 1, -1) if place else (begin, begin + 1)
            yield Scaled(scales[scale], self.numbers(column), into, flag)

    def _feature(self, name: str) -> tuple[Feature, tuple[str, ...]]:
        feature = self._features[name]
        return feature, inputs_of(name, feature)

    def _ids_in(self, column: str) -> pa.Array:
        kind = "VARCHAR" if self._columns[column].startswith("VARCHAR") else "BIGINT"
        return self._checked(column, lambda array: canonical.ids(array, kind))

    def _checked(self, column: str, read: Callable[[pa.Array], T]) -> T:
        array = self._table.column(column)
        if isinstance(array, pa.ChunkedArray):  # a single chunk would be copied
            array = array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()
        try:
            return read(array)
        except canonical.Misfit as misfit:
            raise RecmtlError(
                "a value that does not fit" if misfit.row is not None else "a column of another type",
                where=f"column {column!r}{self._place(misfit.row)}",
                expected=misfit.expected, found=misfit.found,
            ) from misfit

    def _place(self, row: int | None) -> str:
        """The row in the log where the table carries it, else in the table."""
        if row is None:
            return ""
        if {"_file", "_row"} <= set(self._table.column_names):
            file, line = (self._table.column(c)[row].as_py() for c in ("_file", "_row"))
            return f", row {line} of the log's file {file} (in sources of the examples' manifest)"
        return f", row {row}"
