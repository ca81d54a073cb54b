"""What Spark answers, in the forms that DuckDB answers in: rows, or Arrow."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from recmtl.data.spark.failing import refusing


class Rows:
    """Rows that are known."""

    def __init__(self, rows: Sequence[tuple[Any, ...]], names: Sequence[str] = ()) -> None:
        self._rows = list(rows)
        self.description: list[tuple[Any, ...]] = [(name,) for name in names]

    def fetchall(self) -> list[Any]:
        return self.fetchmany(len(self._rows))

    def fetchone(self) -> tuple[Any, ...] | None:
        return next(iter(self.fetchmany(1)), None)

    def fetchmany(self, size: int, /) -> list[Any]:
        taken, self._rows = self._rows[:size], self._rows[size:]
        return taken


class Frame:
    """A query that runs when it is asked. Each call raises Refusal where Spark fails."""

    def __init__(self, frame: DataFrame) -> None:
        self._frame = frame
        self.description: list[tuple[Any, ...]] = [(name,) for name in frame.columns]

    def fetchall(self) -> list[Any]:
        with refusing():
            return [tuple(map(_plain, row)) for row in self._frame.collect()]

    def fetchone(self) -> tuple[Any, ...] | None:
        return next(iter(self.fetchmany(1)), None)

    def fetchmany(self, size: int, /) -> list[Any]:
        with refusing():
            return [tuple(map(_plain, row)) for row in self._frame.take(size)]

    def to_arrow_table(self) -> pa.Table:
        with refusing():
            table = self._frame.toArrow()
        return table.cast(pa.schema([field.with_nullable(True) for field in table.schema]))

    def to_arrow_reader(self, batch_size: int, /) -> pa.RecordBatchReader:
        """From the driver's memory, which the whole result must fit into."""
        return self.to_arrow_table().to_reader(batch_size)


def _plain(value: Any) -> Any:
    """Whole numbers wider than 64 bits as integers."""
    if isinstance(value, Decimal) and value.as_tuple().exponent == 0:
        return int(value)
    return value
