"""Rates and counts of examples: rows that are looked at go in, the numbers of their keys come out.

The numbers are in no file of the examples: they are joined from the folder of states beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import duckdb
import pyarrow as pa
from sqlglot import exp

from recmtl.data.examples import Examples
from recmtl.data.query import column as named
from recmtl.data.query import dated, text
from recmtl.data.rates.join import join, needed, rows_need
from recmtl.data.rates.states import rated

SETTLED = 7  # days that are counted, from which on one more is no news
DAY = 86_400


@dataclass(frozen=True)
class Joined:
    """The rates of a folder of examples; none where no feature is one."""

    examples: Examples

    @property
    def columns(self) -> tuple[str, ...]:
        features = rated(self.examples.features)
        return tuple(c for name, feature in features.items() for c in feature.inputs(name))

    def read(
        self, db: duckdb.DuckDBPyConnection, rows: exp.Expr, days: Sequence[str]
    ) -> dict[str, pa.ChunkedArray]:
        """The columns of `rows` of some days, in the order of days, files and rows."""
        if not self.columns:
            return {}
        rates = self.examples.rates
        states = needed(self.columns, rates.states(rated(self.examples.features)))
        assert isinstance(rows, exp.Select)
        rows = rows.select(*map(named, rows_need(self.columns, states)), append=False)
        dates = [date.fromisoformat(day) for day in days]
        tables = {state: dated(rates.files(state, dates)) for state in states}
        found = db.sql(text(join(rows, self.columns, states, rates.keys, tables))).to_arrow_table()
        return {name: found[name] for name in self.columns}

    def counted(self, name: str, day: str) -> tuple[int, bool]:
        """How many days' rows a column is counted from on a day, and whether one more is no news: there
        are as many as its window holds, or SETTLED."""
        wait, window = self._spans[name]
        history = (date.fromisoformat(day) - min(self.examples.days)).days - wait
        return max(history, 0), history >= min(window or SETTLED, SETTLED)

    @cached_property
    def _spans(self) -> dict[str, tuple[int, int | None]]:
        """After how many days a column's rows are known, and how many of their days it counts."""
        states = self.examples.rates.states(rated(self.examples.features))
        return {
            column: (-(-state.horizon // DAY), state.days)
            for state, users in states.items()
            for name, feature in users.items() for column in feature.inputs(name)
        }
