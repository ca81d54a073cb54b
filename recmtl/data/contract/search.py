"""Where leakage is searched: examples go in, what every column says of each label comes out.

A label is judged on the newest days that know it, as its window may be longer than those days. Of a class
of which evenly spread rows hold next to none, all rows are read: an area under the curve compares classes
and is the same whatever their shares are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from sqlglot import exp

from recmtl.data.contract.day import Day
from recmtl.data.contract.facts import Facts
from recmtl.data.contract.leakage import ENOUGH, Columned, Space, Strength, spaces_of, strengths
from recmtl.data.contract.sample import Rows
from recmtl.data.day_files import day_files
from recmtl.data.query import column, text, tree

NEWEST, BLOCKS = 10, 2  # days that are searched, 8,192 rows of each
MOST = 65_536  # rows of a rare class that are read


@dataclass(frozen=True)
class Search:
    """Examples, and what was measured of their days."""

    db: duckdb.DuckDBPyConnection
    facts: Facts
    folder: Path

    def run(self) -> tuple[list[Space], list[Strength]]:
        """Each label's space with the rows that it was judged on, and what every column says there."""
        searched: dict[tuple[str, ...], list[Space]] = {}
        for space in spaces_of(self.facts.problem):
            searched.setdefault(tuple(_newest(self.facts.days, space)), []).append(space)
        spaces, found = list[Space](), list[Strength]()
        for days, of_days in searched.items():
            for counted, strength in self._on(days, of_days) if days else ((s, []) for s in of_days):
                spaces.append(counted)
                found += strength
        return spaces, found

    def _on(self, days: Sequence[str], spaces: Sequence[Space]) -> Iterator[tuple[Space, list[Strength]]]:
        rows = {day.name: day.rows for day in self.facts.days}
        files = [file for day in days for file in day_files(self.folder, day)]
        sample = Rows.spread(files, sum(rows[day] for day in days), NEWEST * BLOCKS)
        values, _ = sample.read(self.db, list(self.facts.columns.stored))
        values |= self._rates(sample.select(dated=True), days)
        counted = [space.count(values) for space in spaces]
        common = [space for space in counted if not _rare(space)]
        found = list(strengths(common, self.facts.columns, values))
        for space in common:
            yield space, [s for s in found if (s.label, s.given) == (space.label, space.given)]
        for space in counted:
            if rare := _rare(space):
                all_rows = values if sample.all else self._with_all(days, values, space, rare)
                whole = _of_classes(all_rows, space, rare)
                yield space.count(all_rows), list(
                    strengths([space], self.facts.columns, all_rows, whole)
                )

    def _with_all(
        self, days: Sequence[str], values: Columned, space: Space, rare: Sequence[bool]
    ) -> Columned:
        """The sample with all rows of rare classes in place of those that it has of them."""
        label, given = column(space.label), column(space.given) if space.given else exp.convert(1)
        nodes = {
            "files": exp.convert([file for day in days for file in day_files(self.folder, day)]),
            "label": label, "given": given,
            "positive": exp.convert(True in rare), "negative": exp.convert(False in rare),
        }
        count = tree("contract_rare", step=exp.convert(1), dated=exp.false(), **nodes)
        assert isinstance(count, exp.Select)
        ((rows,),) = self.db.execute(text(count)).fetchall()
        nodes["step"] = exp.convert(-(-rows // MOST) or 1)
        query = tree("contract_rare", dated=exp.false(), **nodes)
        assert isinstance(query, exp.Select)
        stored = query.select(*map(column, self.facts.columns.stored), append=False)
        found = self.db.sql(text(stored)).to_arrow_table()
        more = dict(zip(found.column_names, found.columns, strict=True))
        more |= self._rates(tree("contract_rare", dated=exp.true(), **nodes), days)
        others = pa.array(~_of_classes(values, space, rare))
        return {
            name: pa.chunked_array([*kept.filter(others).chunks, *more[name].chunks], kept.type)
            for name, kept in values.items()
        }


    def _rates(self, rows: exp.Expr, days: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        rates = self.facts.columns.rates
        return rates.read(self.db, rows, days) if rates else {}


def _newest(days: Sequence[Day], space: Space) -> list[str]:
    """The days on which the label is known of any row."""
    labels = [label for label in (space.label, space.given) if label]
    known = [day.name for day in days if all(day.labels[n]["nulls"] < day.rows for n in labels)]
    return known[-NEWEST:]


def _rare(space: Space) -> list[bool]:
    """The classes with too few rows: True for that of label 1."""
    counts = {True: space.positives, False: space.negatives}
    return [which for which, rows in counts.items() if rows is not None and rows < ENOUGH]


def _of_classes(values: Columned, space: Space, classes: Sequence[bool]) -> np.ndarray:
    """Which rows are of the classes."""
    y, inside = space.find(values)
    found: np.ndarray = inside & np.isin(y > 0, classes)
    return found
