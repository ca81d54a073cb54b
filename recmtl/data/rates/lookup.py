"""The last state held in a database: tables with keys in, the same with the numbers of rates out."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from sqlglot import exp

from recmtl.data.duck import connect, engine_errors
from recmtl.data.query import column, dated, statement, text, tree
from recmtl.data.rates.join import join, rows_need
from recmtl.data.rates.opened import Rates
from recmtl.data.rates.states import Rated, rated
from recmtl.schema import Feature


class Lookup:
    """What scoring joins to rows without a day of their own. `columns` are those that it adds."""

    def __init__(
        self, rates: Rates, features: Mapping[str, Feature], memory_limit: str | None = None,
        spill: Path | None = None,
    ) -> None:
        """Raises RecmtlError where the folder lacks a state that the features are read from."""
        users: dict[str, Rated] = rated(features)
        self.keys, self.day = rates.keys, rates.last
        self.columns = [c for name, feature in users.items() for c in feature.inputs(name)]
        states, self._db = rates.states(users), connect(memory_limit, spill)
        tables = {state: exp.to_table(f"held_{number}") for number, state in enumerate(states)}
        with engine_errors(rates.folder):
            for state, table in tables.items():
                files = dated(rates.files(state, [self.day]))
                self._db.execute(statement("rates_hold", held=table, state=files))
        query = tree("rates_piece", day=exp.convert(self.day))
        assert isinstance(query, exp.Select)
        own = [name for name in rows_need(self.columns, states) if name in self.keys]
        rows = query.select(*map(column, own))
        self._query = text(join(rows, self.columns, states, self.keys, tables))

    def add(self, table: pa.Table) -> pa.Table:
        """The table with the rates' columns; keys that the state lacks get the global rate."""
        place = pa.array(np.arange(table.num_rows, dtype=np.int64))
        self._db.register("piece", table.select(list(self.keys)).append_column("_row", place))
        with engine_errors("the rates"):
            found = self._db.sql(self._query).to_arrow_table()
        for name in self.columns:
            table = table.append_column(name, found[name])
        return table
