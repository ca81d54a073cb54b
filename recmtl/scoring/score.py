"""Rows as a log has them in; their keys, a score per task and the model's version out."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from recmtl.bundle import Bundle
from recmtl.data.candidates import Candidates, Source, spill_here
from recmtl.data.rates.lookup import Lookup
from recmtl.data.rates.opened import Rates
from recmtl.data.rates.states import rated
from recmtl.errors import RecmtlError
from recmtl.experiment import Experiment
from recmtl.heads.columns import column_of, scores_of
from recmtl.memory import give_freed_memory_back, keep_freed_memory
from recmtl.scoring.cores import on_each_core

if TYPE_CHECKING:
    import pandas as pd

BATCH = 8192  # rows that a core scores at a time: what is between its layers stays near it
PIECE = 8 * BATCH  # rows that are read and joined at a time
VERSION = "model_version"
RATES_DAY = "rates_day"


@dataclass(frozen=True)
class Scorer:
    """A loaded bundle. `root` is what relative paths of side tables are relative to, if anything.

    `lookup` gives the rates of a day to rows that come with their keys, where the model reads any.
    """

    bundle: Bundle
    version: str = ""
    root: Path | None = None
    lookup: Lookup | None = None

    @classmethod
    def load(
        cls, folder: Path, device: str = "cpu", version: str = "", root: Path | None = None,
        rates: Path | None = None,
    ) -> "Scorer":
        """Read and prove the bundle in `folder`; `rates` takes the place of the bundle's own.

        Raises RecmtlError where it is not whole, or the rates are those of other features.
        """
        bundle = Bundle.load(folder, device)
        lookup, features = None, bundle.encoder.fitted.features
        if rated(features):
            experiment = _rooted(bundle.experiment, root)
            limit, spill = experiment.data.memory_limit, spill_here(experiment, root is not None)
            lookup = Lookup(Rates.open(rates or folder / "rates"), features, limit, spill)
        return cls(bundle, version, root, lookup)

    @property
    def columns(self) -> dict[str, str]:
        """Input columns → canonical type (BIGINT, VARCHAR, DOUBLE, BIGINT[], VARCHAR[], FLOAT[])."""
        keys = self.lookup.keys if self.lookup else {}
        return {n: k for n, k in self.bundle.encoder.columns.items() if n not in self._looked_up} | keys

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.bundle.tasks

    def score(self, table: pa.Table) -> dict[str, np.ndarray]:
        """Score rows of `columns`: task → (N,) or (N, C) float32, in the order of the rows.

        Raises RecmtlError naming a column that is missing, of another type, or has a value that does
        not fit.
        """
        pieces = [self.bundle.score(part) for part in _parts(self._whole(table))]
        return {task: np.concatenate([p[task] for p in pieces]) for task in self.tasks}

    def stream(self, sources: Iterable[Source]) -> Generator[tuple[int, pa.RecordBatch]]:
        """Score raw rows or examples: the number of their source; keys, a column a task and the stamp.

        At least one piece a source, in their order.
        """
        keep_freed_memory()
        try:
            yield from on_each_core(self._scored, self._read(sources))
        finally:
            give_freed_memory_back()

    def _read(self, sources: Iterable[Source]) -> Iterator[tuple[int, pa.Table]]:
        for number, table in self._candidates.read(sources):
            for part in _parts(self._whole(table)):
                yield number, part

    def _scored(self, read: tuple[int, pa.Table]) -> tuple[int, pa.RecordBatch]:
        number, table = read
        scores = self.bundle.score(table)
        columns = {
            **{key: table[key].combine_chunks() for key in self._candidates.keys(table.column_names)},
            **{task: column_of(scores[task]) for task in self.tasks},
            **{name: pa.repeat(pa.scalar(v), table.num_rows) for name, v in self.stamp.items()},
        }
        return number, pa.RecordBatch.from_pydict(columns)

    @property
    def stamp(self) -> dict[str, str]:
        """What made the scores: the model's version and, where it reads rates, the day of these."""
        day = {RATES_DAY: self.lookup.day.isoformat()} if self.lookup else {}
        return {VERSION: self.version, **day}

    def score_frame(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """(N rows) → (N rows, same index): keys as they came, a float32 or array a task, the version.

        The frame holds rows as the log or examples have them. Raises RecmtlError as `score` does.
        """
        table = _arrow(frame[self.reads([str(name) for name in frame.columns])])
        starts = range(0, table.num_rows, PIECE)
        source = Source("the frame", table.schema, (table.slice(s, PIECE) for s in starts))
        scored = pa.Table.from_batches(batch.select(self.tasks) for _, batch in self.stream([source]))
        out = frame[self._candidates.keys(table.column_names)].copy()
        for task in self.tasks:
            out[task] = list(found) if (found := scores_of(scored[task])).ndim > 1 else found
        return out.assign(**self.stamp)

    def reads(self, names: list[str]) -> list[str]:
        """Which of an input's columns are read: those of features, keys, and of side tables' keys."""
        return self._candidates.reads(names)

    @cached_property
    def _candidates(self) -> Candidates:
        experiment = _rooted(self.bundle.experiment, self.root)
        return Candidates(experiment, self.bundle.encoder, self.root is not None, self.columns)

    @property
    def _looked_up(self) -> list[str]:
        return self.lookup.columns if self.lookup else []

    def _whole(self, table: pa.Table) -> pa.Table:
        """With the rates, unless the table brings them all."""
        if self.lookup is None or set(self._looked_up) <= set(table.column_names):
            return table
        missing = [key for key in self.lookup.keys if key not in table.column_names]
        if missing:
            raise RecmtlError(f"no column {missing[0]!r}, which the model's rates are joined by",
                              where="the table to score", found=", ".join(table.column_names))
        return self.lookup.add(table)


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    """At least one, of BATCH rows at most."""
    return (table.slice(start, BATCH) for start in range(0, max(table.num_rows, 1), BATCH))


def _rooted(experiment: Experiment, root: Path | None) -> Experiment:
    return experiment if root is None else experiment.model_copy(update={"root": root})


def _arrow(frame: "pd.DataFrame") -> pa.Table:
    """The frame's columns as Arrow; NaN reads as null."""
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise RecmtlError(f"the column {repeated[0]!r} stands there twice", where="the frame")
    columns = {}
    for name in frame.columns:
        try:
            columns[name] = pa.array(frame[name], from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise RecmtlError(
                f"the column {name!r} holds values of several types: {error}", where="the frame",
                fix="give the column one type",
            ) from error
    return pa.table(columns)
