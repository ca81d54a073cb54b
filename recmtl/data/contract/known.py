"""Values that were there before: days go in, in order; shares of rows with an unseen value come out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlglot import exp

from recmtl.data.contract.sample import flat
from recmtl.data.query import column, statement

FEW = 8192  # distinct values in a sample of a day: with more, the whole day is read, one value in SHARE
SHARE = 16


@dataclass(frozen=True)
class Values:
    """Values of a column on a day, or one in `share` of them: their hashes, and the rows of each."""

    share: int
    hashes: np.ndarray
    rows: np.ndarray

    @property
    def distinct(self) -> int:
        return len(self.hashes) * self.share

    @property
    def per_row(self) -> float | None:
        """Distinct values a row that has one."""
        return len(self.hashes) / int(self.rows.sum()) if len(self.hashes) else None


@dataclass(frozen=True)
class Known:
    """The values of a column that were there, or one in `share` of them, and the first day of each."""

    share: int
    hashes: np.ndarray
    days: np.ndarray

    def coarsen(self, share: int) -> "Known":
        kept = self.hashes % share == 0
        return self if share == self.share else Known(share, self.hashes[kept], self.days[kept])


class Seen:
    """The values of each column on the days so far.

    Of a column with many values those whose hash SHARE divides are kept, each with all of its rows, so
    that what is unseen among them really was not there.
    """

    def __init__(self, columns: dict[str, Known] | None = None) -> None:
        self.columns = columns or {}

    def add(self, name: str, values: Values, day: str) -> float | None:
        """The share of rows with an unseen value; None on the first day."""
        known = self.columns.get(name)
        share = max(values.share, known.share if known else 1)
        kept = values.hashes % share == 0
        found, rows = values.hashes[kept], values.rows[kept]
        if known is None:
            self.columns[name] = Known(share, found, np.full(len(found), day))
            return None
        known = known.coarsen(share)
        new = ~np.isin(found, known.hashes)
        self.columns[name] = Known(
            share, np.append(known.hashes, found[new]),
            np.append(known.days, np.full(int(new.sum()), day)),
        )
        return float(rows[new].sum() / rows.sum()) if len(rows) else None

    def save(self, file: Path) -> None:
        tables = [
            pa.table({
                "column": pa.array([name] * len(known.hashes), pa.string()).dictionary_encode(),
                "share": pa.array([known.share] * len(known.hashes), pa.int32()),
                "value": pa.array(known.hashes, pa.uint64()),
                "day": pa.array(known.days.astype(str), pa.string()).dictionary_encode(),
            })
            for name, known in self.columns.items()
        ]
        if tables:
            pq.write_table(pa.concat_tables(tables).unify_dictionaries(), file)

    @classmethod
    def load(cls, file: Path, until: str) -> "Seen":
        """What was there up to a day."""
        if not file.exists():
            return cls()
        table = pq.read_table(file, filters=[("day", "<=", until)])
        columns = {}
        for name in pc.unique(table["column"]).to_pylist():
            rows = table.filter(pc.equal(table["column"], name))
            days = rows["day"].cast(pa.string()).to_numpy()
            columns[name] = Known(rows["share"][0].as_py(), rows["value"].to_numpy(), days.astype(str))
        return cls(columns)


def sampled_values(values: pa.ChunkedArray, hashes: pa.ChunkedArray) -> Values:
    """The values of a sample."""
    found = pc.value_counts(flat(hashes.filter(values.is_valid()))[0])
    return Values(1, found.field("values").to_numpy(), found.field("counts").to_numpy())


def values_of_day(
    db: duckdb.DuckDBPyConnection, name: str, files: Sequence[str], lists: bool = False
) -> Values:
    """One in SHARE of the values of a day, or of the elements of lists, with all of their rows."""
    found = db.sql(statement(
        "contract_elements" if lists else "contract_values",
        value=column(name), share=exp.convert(SHARE), files=exp.convert(list(files)),
    )).to_arrow_table()
    return Values(SHARE, found["value"].to_numpy(), found["rows"].to_numpy())
