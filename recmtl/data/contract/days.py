"""What each day of the examples holds: files go in, in days' order; numbers a column and day come out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from recmtl.data.contract.columns import Columns
from recmtl.data.contract.day import BEFORE, FIRST, Day
from recmtl.data.contract.distribution import stability
from recmtl.data.contract.funnels import Pair
from recmtl.data.contract.known import FEW, Seen, sampled_values, values_of_day
from recmtl.data.contract.measured import Column, measure, stated
from recmtl.data.contract.sample import Kind, Rows, flat
from recmtl.data.query import column as named
from recmtl.data.query import statement

BLOCKS, OF_LISTS = 8, 2  # of a sample: 32,768 rows a day, and 8,192 for lists, which are long


class Walk:
    """Measures days in their order, each by itself and against the first and the one before.

    `before` are days that were measured already, `seen` the values that were there on them.
    """

    def __init__(
        self, db: duckdb.DuckDBPyConnection, columns: Columns, pairs: Collection[Pair],
        before: Sequence[Day], seen: Seen,
    ) -> None:
        self._db, self._columns, self._pairs, self._seen = db, columns, pairs, seen
        self._references = {FIRST: before[0], BEFORE: before[-1]} if before else {}

    def day(self, name: str, files: Sequence[str], record: Mapping[str, Any]) -> Day:
        """`record` is what the manifest of the examples says of the day."""
        day = Day(name, record["rows"], record["labels"], self._types(files))
        if not self._columns.sound(day.types):  # it is said of the types, and nothing else can be
            return day
        day = replace(
            day, breaks={pair: self._breaks(files, pair) for pair in self._pairs},
            columns=self._measure(name, files, day.rows),
        )
        self._references = {FIRST: self._references.get(FIRST, day), BEFORE: day}
        return day

    def _measure(self, day: str, files: Sequence[str], rows: int) -> dict[str, Column]:
        told = stated(self._db, files)
        found = {key: Column(**told[key]) for key in self._columns.keys if key in told}
        kinds, rates = self._columns.stored, self._columns.rates
        ids: dict[str, Kind] = {name: kind for name, kind in kinds.items() if kind == "ids"}
        lists: dict[str, Kind] = {name: kind for name, kind in kinds.items() if kind == "lists"}
        sample, long = Rows.spread(files, rows, BLOCKS), Rows.spread(files, rows, OF_LISTS)
        values, hashes = sample.read(self._db, [n for n in kinds if n not in lists], ids)
        if lists:
            values, hashes = (a | b for a, b in zip(
                (values, hashes), long.read(self._db, list(lists), lists), strict=True
            ))
        if rates:
            joined = rates.read(self._db, sample.select(dated=True), [day])
            values, kinds = values | joined, self._columns.measured
        for name, kind in kinds.items():
            column = measure(values[name], kind, told.get(name))
            if rates and name in rates.columns:
                column = replace(column, distinct=pc.count_distinct(values[name]).as_py())
            found[name] = replace(column, drift=self._drift(column, name, values[name], day))
        for name in (*ids, *lists):
            whole = long.all if name in lists else sample.all
            there = (
                sampled_values(values[name], hashes[name])
                if whole or (found[name].distinct or 0) <= FEW
                else values_of_day(self._db, name, files, name in lists)
            )
            unknown = self._seen.add(name, there, day)
            found[name] = replace(
                found[name], unknown=unknown, distinct=there.distinct, per_row=there.per_row
            )
        return found

    def _drift(
        self, column: Column, name: str, values: pa.ChunkedArray, at: str
    ) -> dict[str, tuple[float, float]]:
        drift = {}
        for which, day in self._references.items():
            if not self._columns.settled(name, day.name, at):
                continue
            reference = day.columns[name]
            if reference.bins is not None and reference.known and len(values) > values.null_count:
                counts = reference.bins.count(flat(values)[0])
                rates = self._columns.rates
                shared = rates is not None and name in rates.columns
                sizes = (reference.distinct or 0, column.distinct or 0) if shared else None
                drift[which] = stability(reference.counts, counts, sizes)
        return drift

    def _breaks(self, files: Sequence[str], pair: Pair) -> tuple[int, int]:
        earlier, later = map(named, pair)
        query = statement(
            "contract_breaks", files=exp.convert(list(files)), earlier=earlier, later=later
        )
        ((positives, breaks),) = self._db.execute(query).fetchall()
        return positives, breaks

    def _types(self, files: Sequence[str]) -> dict[str, str]:
        read = "DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning = false)"
        return {name: kind for name, kind, *_ in self._db.execute(read, [list(files)]).fetchall()}
