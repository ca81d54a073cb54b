"""Examples in, vocabularies, scales and layout out: counted in SQL on train rows only."""

from collections.abc import Iterable, Mapping
from typing import cast

import duckdb
from sqlglot import exp

from recmtl.batch import Layout, Slot
from recmtl.data.duck import connect, duck_errors
from recmtl.data.examples import Examples
from recmtl.data.fitted import Fitted, Rows, owner_of
from recmtl.data.hashing import Buckets
from recmtl.data.lookup import id_type, is_embedded, is_list, occurrences
from recmtl.data.query import column, statement
from recmtl.data.statistics import Scale
from recmtl.data.vocabulary import RESERVED, Vocabulary
from recmtl.errors import RecmtlError
from recmtl.folder import digest
from recmtl.progress import Progress
from recmtl.schema import Categorical, Feature, Numeric, Problem, Vector
from recmtl.schema.features import columns_of

Source = tuple[str, ...]


def fit(problem: Problem, examples: Examples, width: int, progress: Progress) -> Fitted:
    """See `Encoder.fit`."""
    features = dict(sorted(examples.features.items()))
    sources = {name: columns_of(name, feature) for name, feature in features.items()}
    columns = {c: examples.columns[c] for source in sources.values() for c in source}
    _check_shares(features, columns, sources)
    vocabularies: dict[str, Rows] = {}
    scales: dict[str, Scale] = {}
    fitter = Fitter(problem, examples)
    with progress.track(len(features), "vocabularies") as advance:
        for name, feature in features.items():
            if isinstance(feature, Numeric):
                scales[name] = fitter.scale(sources[name][0], feature)
            elif is_embedded(feature) and owner_of(name, features) == name:
                users = {n: f for n, f in features.items() if owner_of(n, features) == name}
                vocabularies[name] = fitter.vocabulary(feature, users)
            advance(1)
        unknown = {name for name, scale in scales.items() if not scale.known}
        unknown |= {name for name in features if name not in scales and fitter.is_null(sources[name])}
    return Fitted(
        features=features, columns=columns,
        layout=_layout(problem, features, vocabularies, width),
        vocabularies=vocabularies, scales=scales,
        made_from=_origin(problem, examples, width),
        warnings=tuple(
            f"features.{name}: no row of train has a value; nothing is learned from it"
            for name in sorted(unknown)
        ),
    )


class Fitter:
    """The train rows as a view `train` of one database."""

    def __init__(self, problem: Problem, examples: Examples) -> None:
        self._db = connect(problem.data.memory_limit)
        self._columns = examples.columns
        day = ["dt"] if examples.dated else []
        rows = examples.select(problem.data.split, "train", [*examples.columns, *day])
        self._run(f"CREATE TEMP VIEW train AS {rows}")
        self._day = column("dt") if examples.dated else exp.null()

    def vocabulary(self, feature: Feature, users: Mapping[str, Feature]) -> Rows:
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
        with duck_errors("the examples"):
            counts = self._db.sql(query).to_arrow_table()
        return Vocabulary.from_counts(counts, options.min_count, options.max_size)

    def scale(self, name: str, feature: Numeric) -> Scale:
        with duck_errors(f"column {name!r}"):
            return Scale.fit(self._db, name, feature.transform)

    def is_null(self, source: Source) -> bool:
        """Whether one of the columns has no value on train."""
        counts = [
            self._run(statement("statistics_known", column_=column(name))).fetchall()[0][0]
            for name in source
        ]
        return min(counts) == 0

    def _run(self, query: str) -> duckdb.DuckDBPyConnection:
        with duck_errors("the examples"):
            return self._db.execute(query)


def _layout(
    problem: Problem, features: Mapping[str, Feature], vocabularies: Mapping[str, Rows], width: int
) -> Layout:
    """Slots by width and name; the vocabularies of a width stand one after another in its table."""
    widths = {name: getattr(features[name], "width", None) or width for name in vocabularies}
    first, tables = {}, dict.fromkeys(sorted(widths.values()), 0)
    for name in sorted(vocabularies, key=lambda n: (widths[n], n)):
        first[name] = tables[widths[name]]
        tables[widths[name]] += vocabularies[name].size

    def slots(names: Iterable[str]) -> tuple[Slot, ...]:
        made = [
            Slot(name, widths[owner], first[owner], vocabularies[owner].size)
            for name in names for owner in [owner_of(name, features)]
        ]
        return tuple(sorted(made, key=lambda slot: (slot.width, slot.name)))

    embedded = {name: f for name, f in features.items() if is_embedded(f)}
    return Layout(
        slots=slots(name for name, f in embedded.items() if not is_list(f)),
        lists=slots(name for name, f in embedded.items() if is_list(f)),
        dense={
            name: f.size if isinstance(f, Vector) else 2
            for name, f in features.items() if name not in embedded
        },
        tables=tables,
        labels=tuple(problem.labels),
    )


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
        problem.data.split.model_dump(), list(problem.labels), width, RESERVED,
    ])

