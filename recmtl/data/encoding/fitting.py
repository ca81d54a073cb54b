"""Examples in, vocabularies, scales and layout out: counted in SQL on train rows only."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

from duckdb import DuckDBPyConnection
from sqlglot import exp

from recmtl.data.database import Answer, Database
from recmtl.data.duck import connect, engine_errors
from recmtl.data.encoding import starts
from recmtl.data.encoding.fitted import Fitted, Rows, owner_of
from recmtl.data.encoding.hashing import Buckets
from recmtl.data.encoding.layout import layout_of
from recmtl.data.encoding.lookup import id_type, occurrences
from recmtl.data.encoding.statistics import Scale, scales_of
from recmtl.data.engine import open_engine
from recmtl.data.examples import Examples
from recmtl.data.query import column, statement
from recmtl.data.split import hashes
from recmtl.data.vocabulary import RESERVED, Vocabulary
from recmtl.errors import RecmtlError
from recmtl.folder import digest
from recmtl.progress import Progress
from recmtl.schema import Categorical, Count, Feature, Numeric, Problem, Rate
from recmtl.schema.features import columns_of, inputs_of, is_embedded

Source = tuple[str, ...]


def fit(problem: Problem, examples: Examples, width: int, progress: Progress) -> Fitted:
    """See `Encoder.fit`."""
    features = dict(sorted(examples.features.items()))
    sources = {name: inputs_of(name, feature) for name, feature in features.items()}
    columns = {c: examples.columns[c] for source in sources.values() for c in source}
    _check_shares(features, columns, sources)
    with (
        closing(open_engine(problem, _without_order(problem))) as db,
        progress.track(len(features), "vocabularies") as advance,
    ):
        fitter = Fitter(db, problem, examples, list(columns))
        for name in features:
            fitter.fit(name, features)
            advance(1)
    warnings = [
        f"features.{name}: no row of train has a value; nothing is learned from it"
        for name in fitter.empty
    ]
    fitted = Fitted(
        features=features, columns=columns,
        layout=layout_of(problem.labels, features, fitter.vocabularies, width),
        vocabularies=fitter.vocabularies, scales=fitter.scales,
        made_from=_origin(problem, examples, width),
    )
    found = [_start(fitted, name, file) for name, file in starts.files_of(problem).items()]
    warnings += [warning for _, own in found for warning in own]
    return replace(fitted, warnings=tuple(warnings), starts=tuple(start for start, _ in found))


def _start(fitted: Fitted, name: str, file: Path) -> tuple[starts.Start, list[str]]:
    """The first values of a feature's rows: it has a vocabulary of its own and reads one column."""
    feature, layout = cast(Categorical, fitted.features[name]), fitted.layout
    slot = next(slot for slot in (*layout.slots, *layout.lists) if slot.name == name)
    kind = id_type(feature, fitted.columns, columns_of(name, feature))
    vocabulary = cast(Vocabulary, fitted.vocabularies[name])
    return starts.read_start(file, slot, vocabulary, kind, feature.freeze)


class Fitter:
    """What was fitted so far to the train rows, `train` and, of columns that hold lists, `lists`."""

    def __init__(
        self, db: Database, problem: Problem, examples: Examples, columns: Sequence[str]
    ) -> None:
        self._db, self._columns = db, examples.columns
        self._examples, self._split = examples, problem.data.split
        self.vocabularies: dict[str, Rows] = {}
        self.scales: dict[str, Scale] = {}
        self.empty: list[str] = []
        own = [name for name in columns if not examples.rated([name])]
        self._lists = [name for name in own if examples.columns[name].endswith("]")]
        day = ["dt"] if examples.dated else []
        short = [name for name in own if name not in self._lists]
        # Once for all columns where a hash is to be computed for each row; a list is read once anyway.
        self._make("TABLE" if hashes(self._split) else "VIEW", "train", [*short, *day])
        if self._lists:
            self._make("VIEW", "lists", [*self._lists, *day])
        self._day: exp.Expr = column("dt") if examples.dated else exp.null()

    def fit(self, name: str, features: Mapping[str, Feature]) -> None:
        """Fit one feature; a vocabulary is counted for all that share it, when its owner's turn is."""
        feature = features[name]
        source = inputs_of(name, feature)
        users = {user: f for user, f in features.items() if owner_of(user, features) == name}
        if isinstance(feature, Numeric | Rate | Count):
            known = self._scale(name, feature)
        else:
            if is_embedded(feature) and users:
                self.vocabularies[name] = self._vocabulary(feature, users)
            known = self._known(name, source, len(users))
        if not known:
            self.empty.append(name)

    def _scale(self, name: str, feature: Numeric | Rate | Count) -> int:
        """Fit the scale of each number of a feature; returns how many are known."""
        rows = "train"
        if not isinstance(feature, Numeric):
            rows = "rated"
            self._make("TABLE", rows, feature.inputs(name))  # joined once for all its scales
        for source, scale, transform in scales_of(name, feature):
            with engine_errors(f"column {source!r}"):
                self.scales[scale] = Scale.fit(self._db, source, transform, rows)
        return self.scales[name].known

    def _make(self, kind: str, name: str, columns: Sequence[str]) -> None:
        rows = self._examples.select(self._split, "train", columns, ordered=False)
        self._run(f"CREATE OR REPLACE TEMP {kind} {name} AS {rows}")

    def _vocabulary(self, feature: Feature, users: Mapping[str, Feature]) -> Rows:
        """Rows of the values that `users` of the vocabulary have on train, as `feature` says."""
        options = cast(Categorical, feature)
        if options.buckets:
            return Buckets(options.buckets)
        parts = [
            occurrences(user, columns_of(name, user), self._columns, self._day)
            for name, user in users.items()
        ]
        found = parts[0] if len(parts) == 1 else exp.union(*parts, distinct=False)
        query = statement("vocabulary_count", occurrences=exp.paren(found).as_("occurrences"))
        with engine_errors("the examples"):
            counts = self._db.sql(query).to_arrow_table()
        return Vocabulary.from_counts(counts, options.min_count, options.max_size)

    def _known(self, name: str, source: Source, users: int) -> int:
        """0 where a feature has no value on train; a vocabulary of its own tells without a look."""
        own = self.vocabularies.get(name)
        if isinstance(own, Vocabulary) and users == 1:
            return int(own.table.num_rows)
        queries = [
            statement("statistics_known", column_=column(c),
                      train=exp.to_table("lists" if c in self._lists else "train"))
            for c in source
        ]
        return min(int(self._run(query).fetchall()[0][0]) for query in queries)

    def _run(self, query: str) -> Answer:
        with engine_errors("the examples"):
            return self._db.execute(query)


def _without_order(problem: Problem) -> DuckDBPyConnection:
    """What is fitted is the same in whatever order rows come; a table of them is made sooner in none."""
    db = connect(problem.data.memory_limit, problem.spill)
    db.execute("SET preserve_insertion_order = false")
    return db


def _check_shares(
    features: Mapping[str, Feature], columns: dict[str, str], sources: Mapping[str, Source]
) -> None:
    for name, feature in features.items():
        owner = owner_of(name, features)
        if owner == name:
            continue
        found, expected = (id_type(f, columns, sources[n])
                           for n, f in ((name, feature), (owner, features[owner])))
        if found != expected:
            raise RecmtlError(
                f"its ids are {found}, those of {owner!r} are {expected}: they share no vocabulary",
                where=f"[features] {name}", fix="drop share, or store both columns in one type",
            )


def _origin(problem: Problem, examples: Examples, width: int) -> str:
    """A digest of all that the fit depends on."""
    return digest([
        examples.manifest["key"], examples.manifest["features"],
        problem.data.split.model_dump(), list(problem.labels), width, RESERVED, *starts.digests(problem),
    ])

