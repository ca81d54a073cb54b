"""Rows of examples that need no SQL: Parquet files in, Arrow tables with the part of each row out.

What is read is what `selection.select_parts` gives, sooner: a split is told in numpy, and its hash by a
loop that is quicker than the engine's. SQL joins rates, and hashes columns that are no ids.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recmtl.data import native
from recmtl.data.allocator import use_jemalloc
from recmtl.data.examples import DAY, PART, PARTS, Examples
from recmtl.data.split import CUT, hashes, limits_of, parts_of_files, threshold
from recmtl.errors import RecmtlError
from recmtl.schema import FilesSplit, HashSplit, Split, TimeSplit

BLOCK_ROWS = 1 << 16  # of a table, wherever examples are read
GROUP_ROWS, GROUP_BYTES = 1 << 17, 1 << 26  # decoded at a time, at most
NONE = -1  # the code of a row that falls in no part; of others it is the place in PARTS
_CODES = {"PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE"}
_IDS = ("BIGINT", "INTEGER", "VARCHAR")  # whose text is the same for everyone


def needs_no_sql(examples: Examples, split: Split, columns: Sequence[str]) -> bool:
    """Whether `read` gives these columns, and the part of each row."""
    told = [DAY] if examples.dated else []
    if not set(columns) <= {*examples.manifest["columns"], *told}:  # others are joined
        return False
    if isinstance(split, TimeSplit) and not examples.dated:
        return False
    hashed = split.hash if isinstance(split, HashSplit) else ()
    return (native.compiled() or not hashes(split)) and all(
        examples.columns.get(name) in _IDS for name in hashed
    )


def read(
    examples: Examples, split: Split, columns: Sequence[str], rows: int = BLOCK_ROWS
) -> Iterator[tuple[date | None, pa.Table]]:
    """The rows of all parts in the order day, file, row, at most `rows` a table, and those of none.

    Each table is of one day, which is a column `dt` where `columns` name it. They come with `_part`, null
    for rows of none; days that hold no other rows are passed over. Raises RecmtlError where a file cannot
    be read.
    """
    use_jemalloc()
    parts = Parts(split, [source["path"] for source in examples.manifest["sources"]],
                  examples.manifest["zone"])
    names = [name for name in dict.fromkeys([*columns, *parts.columns]) if name != DAY]
    days = [day for day in examples.days if parts.may_hold(day)] if examples.dated else [None]
    for day in days:
        for file in examples.files(None if day is None else [day]):
            for table in _tables(file, names, rows):
                codes = parts.codes(table, day)
                part = pa.DictionaryArray.from_arrays(
                    pa.array(codes, mask=codes == NONE), list(PARTS), safe=False
                )
                if DAY in columns:
                    table = table.append_column(DAY, pa.repeat(pa.scalar(day, pa.date32()), len(table)))
                yield day, table.select(columns).append_column(PART, part)


def parts_of(table: pa.Table) -> np.ndarray:
    """(B,) the place in PARTS of each row of a table that `read` gave, NONE for those of no part."""
    codes: np.ndarray = table[PART].combine_chunks().indices.fill_null(NONE).to_numpy()
    return codes


def _tables(file: str, names: Sequence[str], rows: int) -> Iterator[pa.Table]:
    try:
        footer = pq.read_metadata(file)
        # To buffer ahead would be to hold what was read until the file's end.
        with pq.ParquetFile(
            file, metadata=footer, memory_map=True, pre_buffer=False, read_dictionary=_coded(footer)
        ) as parquet:
            # To stop within a group is to copy what is left: those that DuckDB writes are read whole.
            for group in range(footer.num_row_groups):
                most = _at_most(footer.row_group(group), rows)
                for batch in parquet.iter_batches(most, row_groups=[group], columns=names):
                    table = pa.Table.from_batches([batch])
                    yield from (table.slice(at, rows) for at in range(0, len(table), rows))
    except (OSError, pa.ArrowException) as error:
        raise RecmtlError(f"unreadable examples: {error}", where=file,
                          fix="run `recmtl ingest` again") from error


def _at_most(group: pq.RowGroupMetaData, rows: int) -> int:
    """How many rows of a group are decoded at a time: a table's `rows` at least."""
    fit = GROUP_BYTES * int(group.num_rows) // max(int(group.total_byte_size), 1)
    return min(GROUP_ROWS, max(rows, fit))


def _coded(file: pq.FileMetaData) -> list[str]:
    """The columns of text that lie in the file as codes of a dictionary: each word is looked up once."""
    groups = [file.row_group(number) for number in range(file.num_row_groups)]
    chunks = [[group.column(place) for group in groups] for place in range(file.num_columns)]
    return [
        column[0].path_in_schema for column in chunks
        if column and column[0].physical_type == "BYTE_ARRAY"
        and all(set(chunk.encodings) <= _CODES for chunk in column)
    ]


class Parts:
    """In which part rows fall, as `split.part_of` says it in SQL; `columns` are those that tell."""

    def __init__(self, split: Split, sources: Sequence[str], zone: str | None) -> None:
        self._split = split
        self.columns: tuple[str, ...] = ()
        if isinstance(split, HashSplit):
            self.columns = split.hash
        elif isinstance(split, FilesSplit):
            found = parts_of_files(split, sources)
            places = [NONE if part is None else PARTS.index(part) for part in found]
            self._of_file = np.array(places, np.int8)
            self.columns = CUT if hashes(split) else CUT[:1]
        else:
            self._limits: Mapping[str, date] = limits_of(split, zone)
            self.columns = () if split.by_day else ("_time",)

    def may_hold(self, day: date) -> bool:
        """Whether rows of a day fall in a part."""
        if not isinstance(self._split, TimeSplit):
            return True
        start, stop = (np.datetime64(self._limits[name], "D") for name in ("start", "stop"))
        # A day is that of the log's zone, a time in UTC.
        around = np.timedelta64(0 if self._split.by_day else 1, "D")
        return bool(start <= np.datetime64(day) + around and np.datetime64(day) - around <= stop)

    def codes(self, table: pa.Table, day: date | None) -> np.ndarray:
        """(B,) int8 places in PARTS of the rows of a table, all of one day; NONE for those of no part."""
        split = self._split
        if isinstance(split, HashSplit):
            return 2 - self._cut(table, split.test, split.test + split.valid)
        if isinstance(split, TimeSplit):
            if split.by_day:
                return np.full(len(table), self._between(np.array([day], "M8[D]"))[0], np.int8)
            return self._between(table["_time"].to_numpy())
        codes: np.ndarray = self._of_file.take(table["_file"].to_numpy())
        if hashes(split):
            cut = self._cut(table, split.files.valid_fraction) == 0
            cut &= codes == PARTS.index(split.files.valid_from)
            np.putmask(codes, cut, PARTS.index("valid"))
        return codes

    def _cut(self, table: pa.Table, *shares: float) -> np.ndarray:
        """(B,) int8: how many of these shares of all hashes a row's lies beyond."""
        columns = [table[name].combine_chunks() for name in self.columns]
        kinds = [pa.int64() if pa.types.is_integer(column.type) else pa.string() for column in columns]
        hashed = native.md5([column.cast(kind) for column, kind in zip(columns, kinds, strict=True)])
        beyond = np.zeros(len(table), np.int8)
        for share in shares:
            beyond += hashed >= np.uint64(threshold(share))
        return beyond

    def _between(self, moments: np.ndarray) -> np.ndarray:
        """Places in PARTS, or NONE, of days or times."""
        begins = np.array([self._limits[name] for name in ("start", "valid", "test")], moments.dtype)
        found = np.searchsorted(begins, moments, side="right") - 1
        inside = moments <= np.array(self._limits["stop"], moments.dtype)
        return np.where(inside, found, NONE).astype(np.int8)
