"""The train rows of examples, as SQL sees them; questions in, counts and scales out."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import pyarrow as pa
from sqlglot import exp

from recmtl.data.database import Answer, Database
from recmtl.data.duck import engine_errors
from recmtl.data.encoding.lookup import occurrences
from recmtl.data.encoding.statistics import Scale
from recmtl.data.examples import Examples
from recmtl.data.query import column, statement
from recmtl.data.selection import select
from recmtl.data.split import hashes
from recmtl.schema import Feature, Split
from recmtl.schema.features import columns_of


class TrainRows:
    """`train` and, of columns that hold lists, `lists`: made when the first question is asked.

    The engine is opened then, too.
    """

    def __init__(
        self, engine: Callable[[], Database], examples: Examples, split: Split, columns: Sequence[str]
    ) -> None:
        self._engine, self._examples, self._split, self._asked = engine, examples, split, False
        own = [name for name in columns if not examples.rated([name])]
        self._lists = [name for name in own if examples.columns[name].endswith("]")]
        self._short = [name for name in own if name not in self._lists]

    @cached_property
    def _db(self) -> Database:
        return self._engine()

    def counts(self, users: Mapping[str, Feature]) -> pa.Table:
        """The distinct values of all these features together: see `vocabulary_count.sql`."""
        columns, day = self._examples.columns, column("dt") if self._examples.dated else exp.null()
        parts = [occurrences(user, columns_of(name, user), columns, day) for name, user in users.items()]
        found = parts[0] if len(parts) == 1 else exp.union(*parts, distinct=False)
        self._make_all()
        query = statement("vocabulary_count", occurrences=exp.paren(found).as_("occurrences"))
        with engine_errors("the examples"):
            return self._db.sql(query).to_arrow_table()

    def scale(self, source: str, transform: str, rated: Sequence[str] = ()) -> Scale:
        """The scale of a column, one of those that are joined from rates perhaps, which are `rated`."""
        if rated:
            self._make("TABLE", "rated", rated)  # joined once for all its scales
        else:
            self._make_all()
        with engine_errors(f"column {source!r}"):
            return Scale.fit(self._db, source, transform, "rated" if rated else "train")

    def known(self, name: str) -> int:
        """How many rows have a value in a column."""
        self._make_all()
        rows = exp.to_table("lists" if name in self._lists else "train")
        query = statement("statistics_known", column_=column(name), train=rows)
        return int(self._run(query).fetchall()[0][0])

    def _make_all(self) -> None:
        if self._asked:
            return
        day = ["dt"] if self._examples.dated else []
        # Once for all columns where a hash is to be computed for each row; a list is read once anyway.
        self._make("TABLE" if hashes(self._split) else "VIEW", "train", [*self._short, *day])
        if self._lists:
            self._make("VIEW", "lists", [*self._lists, *day])
        self._asked = True

    def _make(self, kind: str, name: str, columns: Sequence[str]) -> None:
        rows = select(self._examples, self._split, "train", columns, ordered=False)
        self._run(f"CREATE OR REPLACE TEMP {kind} {name} AS {rows}")

    def _run(self, query: str) -> Answer:
        with engine_errors("the examples"):
            return self._db.execute(query)
