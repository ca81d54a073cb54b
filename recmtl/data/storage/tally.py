"""What a split gives, counted before anything is encoded: rows, positives, nulls, broken products."""

from itertools import combinations
from typing import Any

import duckdb
from sqlglot import exp

from recmtl.data.duck import engine_errors
from recmtl.data.examples import PART, PARTS, Examples
from recmtl.data.query import column, statement
from recmtl.errors import RecmtlError
from recmtl.schema import Problem

Tally = dict[str, Any]  # part → {"rows", "labels": {label: {"positives", "nulls"}}}


class Counter:
    """The labels of every part, as views of one table: read once, counted many times."""

    def __init__(self, db: duckdb.DuckDBPyConnection, problem: Problem, examples: Examples) -> None:
        self._db, self._problem, self._examples = db, problem, examples
        names = ["_file", "_row", *problem.labels]
        self._run(f"CREATE TEMP TABLE labels AS {examples.select_parts(problem.data.split, names)}")
        for part in PARTS:
            self._run(f"CREATE TEMP VIEW {part} AS SELECT * FROM labels WHERE {PART} = '{part}'")

    def count(self) -> Tally:
        """Raises RecmtlError for a part without rows, a task without positives, a broken product."""
        tally = {part: self._count(part) for part in PARTS}
        for part in PARTS:
            if not tally[part]["rows"]:
                raise self._no_rows(part)
        for name, task in self._problem.tasks.items():
            if task.type == "binary":
                self._check_positives(name, task.label, task.given)
            self._check_product(name, [self._problem.tasks[f].label for f in task.product])
        return tally

    def _count(self, part: str) -> Tally:
        labels, rows = {}, 0
        for label in self._problem.labels:
            rows, positives, nulls, _ = self._tally(part, label, None)
            labels[label] = {"positives": positives, "nulls": nulls}
        return {"rows": rows, "labels": labels}

    def _tally(self, part: str, label: str, given: str | None) -> tuple[int, ...]:
        inside = exp.true() if given is None else column(given).eq(1)
        query = statement("shards_tally", label=column(label), given=inside, part=exp.to_table(part))
        return tuple(self._run(query).fetchall()[0])

    def _no_rows(self, part: str) -> RecmtlError:
        days = self._examples.manifest["days"]
        found = ", ".join(f"{day} ({content['rows']} rows)" for day, content in sorted(days.items()))
        split = self._problem.data.split.model_dump(exclude_none=True)
        return RecmtlError(
            f"the {part} part has no rows", where=f"[data] split = {split}",
            found=f"examples of {found or 'no day'}",
            fix="choose a split that gives rows to train, valid and test",
        )

    def _check_positives(self, name: str, label: str, given: str | None) -> None:
        rows, _, nulls, positives = self._tally("train", label, given)
        if positives:
            return
        space = f" where {given!r} is 1" if given else ""
        split = self._problem.data.split.model_dump(exclude_none=True)
        raise RecmtlError(
            f"the label {label!r} is never 1 on train{space}: there is nothing to learn",
            where=f"[tasks] {name}", found=f"{rows} rows, {nulls} of them null, split {split}",
            fix="choose a longer train part, check the label, or leave the task out",
        )

    def _check_product(self, name: str, chain: list[str]) -> None:
        """Over all parts: an evaluation would be as wrong as the training."""
        for part in PARTS:
            for earlier, later in combinations(chain, 2):
                query = statement("shards_breaks", earlier=column(earlier), later=column(later),
                                  part=exp.to_table(part))
                rows, first = self._run(query).fetchall()[0]
                if rows:
                    raise self._broken(name, (earlier, later), rows, tuple(first))

    def _broken(
        self, name: str, labels: tuple[str, str], rows: int, first: tuple[int, int]
    ) -> RecmtlError:
        earlier, later = labels
        source = self._examples.manifest["sources"][first[0]]["path"]
        return RecmtlError(
            f"{later!r} is 1 in {rows} rows where {earlier!r} is 0: that is no product",
            where=f"[tasks] {name}", found=f"first in row {first[1]} of {source}",
            fix=f"define the label {later!r} as \"{earlier} and …\", or drop the product",
        )

    def _run(self, query: str) -> duckdb.DuckDBPyConnection:
        with engine_errors("the examples"):
            return self._db.execute(query)
