"""Train rows in, counts of values and moments of numbers out: what SQL would say of them, in one pass.

Columns are read as they are to be encoded. What takes too much memory is left to SQL, which spills.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recmtl.data import native
from recmtl.data.encoding.canonical import TYPES
from recmtl.data.encoding.counter import Counter, Full, count_codes
from recmtl.data.encoding.fitted import owner_of
from recmtl.data.encoding.lookup import id_type
from recmtl.data.encoding.reading import Reader
from recmtl.data.encoding.statistics import Moments, transformed
from recmtl.data.examples import PARTS, Examples
from recmtl.data.storage.prefetch import prefetched
from recmtl.data.unqueried import needs_no_sql, parts_of, read
from recmtl.progress import Progress
from recmtl.schema import Feature, Numeric, Problem
from recmtl.schema.features import inputs_of, is_embedded, is_list

THREADS = 2  # a third one reads
UNDATED = -(2**31)  # the day of rows without one


@dataclass(frozen=True)
class Counts:
    """What was counted; what is not there has to be asked for in SQL."""

    values: Mapping[str, pa.Table] = field(default_factory=dict)  # by the vocabulary's owner, as `_table`
    moments: Mapping[tuple[str, str], Moments] = field(default_factory=dict)  # by column and transform
    known: Mapping[str, int] = field(default_factory=dict)  # column → rows of train that have a value


def count(
    problem: Problem, examples: Examples, features: Mapping[str, Feature], held: int,
    progress: Progress,
) -> Counts:
    """Count the train rows for all features that no SQL is needed for, in about `held` bytes."""
    plain = {n: f for n, f in features.items() if not examples.rated(inputs_of(n, f))}
    columns = {c: examples.columns[c] for n, f in plain.items() for c in inputs_of(n, f)}
    split = problem.data.split
    if not (
        columns and native.compiled() and problem.data.engine == "duckdb"
        and needs_no_sql(examples, split, list(columns))
    ):
        return Counts()
    total = sum(day["rows"] for day in examples.manifest["days"].values())
    with (
        closing(prefetched(read(examples, split, list(columns)), 1)) as blocks,
        ThreadPoolExecutor(THREADS) as pool, progress.track(total, "count") as advance,
    ):
        counting = _Counting(plain, columns, held, pool)
        for day, table in blocks:
            counting.add(day, table)
            advance(len(table))
        return counting.counts()


class _Counting:
    """What was counted so far for some features, which read `columns`; a vocabulary each by `pool`."""

    def __init__(
        self, features: Mapping[str, Feature], columns: Mapping[str, str], held: int,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._features, self._columns = features, columns
        self._held, self._pool = held, pool
        owners = {
            name: owner_of(name, features) for name, feature in features.items()
            if is_embedded(feature) and not getattr(features[owner_of(name, features)], "buckets", None)
        }
        self._users: dict[str, list[str]] = {}
        for name, owner in owners.items():
            self._users.setdefault(owner, []).append(name)
        kinds = {owner: id_type(features[owner], columns, inputs_of(owner, features[owner]))
                 for owner in self._users}
        self._counters = {owner: Counter(TYPES[kind]) for owner, kind in kinds.items()}
        self._moments: dict[tuple[str, str], Moments] = {
            (inputs_of(name, feature)[0], feature.transform): Moments()
            for name, feature in features.items()
            if isinstance(feature, Numeric) and feature.transform != "quantile"
        }
        self._known = dict.fromkeys(columns, 0)

    def add(self, day: date | None, table: pa.Table) -> None:
        """Count the train rows of a table, all of one day, never before that of one that was added."""
        reader = Reader(table, self._features, self._columns)
        train = parts_of(table) == PARTS.index("train")
        rows, wanted = int(np.count_nonzero(train)), pa.array(train)
        for name in self._columns:
            lacking = table[name].null_count and pc.sum(pc.and_(table[name].is_null(), wanted)).as_py()
            self._known[name] += rows - (lacking or 0)
        owners = list(self._counters)
        done = self._pool.map(lambda owner: self._add_values(owner, reader, train, day), owners)
        for owner, found_room in zip(owners, list(done), strict=True):
            if not found_room:
                del self._counters[owner]
        for (column, transform), moments in self._moments.items():
            moments.add(transformed(reader.numbers(column), transform), train)

    def _add_values(self, owner: str, reader: Reader, train: np.ndarray, day: date | None) -> bool:
        """Count the values of all users of a vocabulary; whether there was room for them."""
        own, taken = self._counters[owner], sum(c.nbytes for c in self._counters.values())
        since = UNDATED if day is None else (day - date(1970, 1, 1)).days
        for name in self._users[owner]:
            values, wanted, times = self._values(name, reader, train)
            try:
                own.count(values, since, self._held - taken + own.nbytes, wanted, times)
            except Full:
                return False
        return True

    def _values(
        self, name: str, reader: Reader, train: np.ndarray
    ) -> tuple[pa.Array, np.ndarray, np.ndarray | None]:
        """A feature's values, those that are wanted, and how often each counts, once for None."""
        wanted = train
        if is_list(self._features[name]):
            values, offsets = reader.lists(name)
            wanted = np.repeat(train, np.diff(offsets))
        else:
            values = reader.ids(name)
        if not pa.types.is_dictionary(values.type):
            return values, wanted, None
        times = count_codes(values, wanted)
        return values.dictionary, times > 0, times

    def counts(self) -> Counts:
        """Of all features that found room."""
        tables = self._pool.map(_table, self._counters.values())
        return Counts(dict(zip(self._counters, tables, strict=True)), self._moments, self._known)


def _table(counter: Counter) -> pa.Table:
    """value, count, first_day and last_day (null where there is none): the most frequent value first."""
    values, seen = counter.values, counter.seen
    if pa.types.is_string(values.type):
        table = pa.table({"count": seen["count"], "value": values})
        order = pc.sort_indices(table, [("count", "descending"), ("value", "ascending")]).to_numpy()
    else:  # numpy sorts numbers sooner
        order = np.argsort(values.to_numpy())
        order = order[np.argsort(-seen["count"][order], kind="stable")]
    seen = seen[order]
    days = {
        name: pa.array(seen[part], pa.int32(), mask=seen[part] == UNDATED).cast(pa.date32())
        for name, part in (("first_day", "first"), ("last_day", "last"))
    }
    return pa.table({"value": values.take(pa.array(order)), "count": seen["count"], **days})
