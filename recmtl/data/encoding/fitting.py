"""Examples in, vocabularies, scales and layout out: counted on train rows only."""

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import cast

from recmtl.data.database import Database
from recmtl.data.duck import connect, held_bytes
from recmtl.data.encoding import starts
from recmtl.data.encoding.counting import Counts, count
from recmtl.data.encoding.fitted import Fitted, Rows, owner_of
from recmtl.data.encoding.hashing import Buckets
from recmtl.data.encoding.layout import layout_of
from recmtl.data.encoding.lookup import id_type
from recmtl.data.encoding.statistics import Scale, scales_of
from recmtl.data.encoding.train_rows import TrainRows
from recmtl.data.engine import open_engine
from recmtl.data.examples import Examples
from recmtl.data.vocabulary import RESERVED, Vocabulary
from recmtl.errors import RecmtlError
from recmtl.folder import digest
from recmtl.progress import Progress
from recmtl.schema import Categorical, Count, Feature, Numeric, Problem, Rate
from recmtl.schema.features import columns_of, inputs_of, is_embedded


def fit(problem: Problem, examples: Examples, width: int, progress: Progress) -> Fitted:
    """See `Encoder.fit`."""
    features = dict(sorted(examples.features.items()))
    sources = {name: inputs_of(name, feature) for name, feature in features.items()}
    columns = {c: examples.columns[c] for source in sources.values() for c in source}
    _check_shares(features, columns, sources)
    with ExitStack() as stack, progress.track(len(features), "vocabularies") as advance:
        counts = count(problem, examples, features, held_bytes(problem.data.memory_limit), progress)
        rows = TrainRows(
            lambda: stack.enter_context(closing(_engine(problem))),
            examples, problem.data.split, list(columns),
        )
        fitter = Fitter(rows, counts)
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
    """What was fitted so far: of what was counted of the train rows, else of what SQL says of them."""

    def __init__(self, rows: TrainRows, counts: Counts) -> None:
        self._rows, self._counts = rows, counts
        self.vocabularies: dict[str, Rows] = {}
        self.scales: dict[str, Scale] = {}
        self.empty: list[str] = []

    def fit(self, name: str, features: Mapping[str, Feature]) -> None:
        """Fit one feature; a vocabulary is counted for all that share it, when its owner's turn is."""
        feature = features[name]
        users = {user: f for user, f in features.items() if owner_of(user, features) == name}
        if isinstance(feature, Numeric | Rate | Count):
            known = self._scale(name, feature)
        else:
            if is_embedded(feature) and users:
                self.vocabularies[name] = self._vocabulary(name, feature, users)
            known = self._known(name, inputs_of(name, feature), len(users))
        if not known:
            self.empty.append(name)

    def _scale(self, name: str, feature: Numeric | Rate | Count) -> int:
        """Fit the scale of each number of a feature; returns how many are known."""
        rated = () if isinstance(feature, Numeric) else feature.inputs(name)
        for source, scale, transform in scales_of(name, feature):
            moments = self._counts.moments.get((source, transform))
            self.scales[scale] = (
                moments.scale(transform) if moments else self._rows.scale(source, transform, rated)
            )
        return self.scales[name].known

    def _vocabulary(self, name: str, feature: Feature, users: Mapping[str, Feature]) -> Rows:
        """Rows of the values that `users` of the vocabulary have on train, as `feature` says."""
        options = cast(Categorical, feature)
        if options.buckets:
            return Buckets(options.buckets)
        counts = self._counts.values.get(name)
        counts = self._rows.counts(users) if counts is None else counts
        return Vocabulary.from_counts(counts, options.min_count, options.max_size)

    def _known(self, name: str, source: tuple[str, ...], users: int) -> int:
        """0 where a feature has no value on train; a vocabulary of its own tells without a look."""
        own = self.vocabularies.get(name)
        if isinstance(own, Vocabulary) and users == 1:
            return len(own)
        counted = self._counts.known
        return min(counted[c] if c in counted else self._rows.known(c) for c in source)


def _engine(problem: Problem) -> Database:
    """What is fitted is the same in whatever order rows come; a table of them is made sooner in none."""
    duck = connect(problem.data.memory_limit, problem.spill)
    duck.execute("SET preserve_insertion_order = false")
    return open_engine(problem, duck)


def _check_shares(
    features: Mapping[str, Feature], columns: dict[str, str], sources: Mapping[str, tuple[str, ...]]
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

