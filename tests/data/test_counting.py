"""What is counted in one pass of the train rows is what SQL says of them."""

from collections import Counter as Tally
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from recmtl.data.duck import connect
from recmtl.data.encoder import Encoder
from recmtl.data.encoding import fitting
from recmtl.data.encoding.counter import Counter, Full
from recmtl.data.encoding.counting import Counts, count
from recmtl.data.encoding.fitted import Fitted
from recmtl.data.examples import Examples
from recmtl.data.vocabulary import Vocabulary
from recmtl.progress import SILENT
from recmtl.schema import Problem

N = 9000
FEATURES: dict[str, Any] = {
    "user": {"kind": "categorical"}, "word": {"kind": "categorical"},
    "few": {"kind": "categorical", "min_count": 300}, "some": {"kind": "categorical", "max_size": 50},
    "hashed": {"kind": "categorical", "buckets": 7, "column": "user"},
    "both": {"kind": "cross", "of": ["few", "word", "flag"]},
    "seen": {"kind": "history", "share": "some", "last": 2}, "tags": {"kind": "bag"},
    "texts": {"kind": "bag", "separator": ","}, "flag": {"kind": "categorical"},
    "x": {"kind": "numeric"}, "y": {"kind": "numeric", "transform": "log1p"},
    "z": {"kind": "numeric", "transform": "none"}, "q": {"kind": "numeric", "transform": "quantile"},
    "same": {"kind": "numeric"}, "never": {"kind": "numeric"}, "nobody": {"kind": "categorical"},
    "v": {"kind": "vector", "size": 2},
}
SPLITS: dict[str, dict[str, Any]] = {
    "days": {"start": "2024-01-02", "valid": "2024-01-04", "test": "2024-01-05"},
    "hash": {"hash": ["user"], "valid": 0.1, "test": 0.2},
}


pytestmark = pytest.mark.usefixtures("compiler")


def frame() -> pa.Table:
    """Values of many kinds, more than an index has room for at first, and long ones; nulls."""
    rng = np.random.default_rng(3)
    gaps = rng.random(N) < 0.1
    users = rng.integers(-(2**63), 2**63 - 1, 4000)[rng.zipf(1.3, N) % 4000]
    words = np.array([f"{n}é" * int(n % 40) for n in range(3000)])[rng.zipf(1.2, N) % 3000]
    lists = [rng.integers(0, 90, n).tolist() for n in rng.integers(0, 5, N)]
    seen = [None if n % 9 == 0 else some for n, some in enumerate(lists)]
    return pa.table({
        "user": pa.array(users, mask=gaps), "word": pa.array(words, mask=gaps[::-1]),
        "few": [f"w{n}" for n in rng.zipf(1.5, N) % 30], "some": rng.integers(0, 90, N),
        "seen": pa.array(seen, pa.list_(pa.int64())),
        "tags": [[str(value) for value in some] for some in lists],
        "texts": [" , ".join(map(str, some)) for some in lists], "flag": rng.random(N) < 0.3,
        "x": pa.array(1e6 + rng.normal(0, 3, N), mask=gaps), "y": rng.standard_cauchy(N),
        "z": np.where(gaps, np.nan, rng.normal(size=N)), "q": rng.exponential(1, N),
        "same": np.full(N, 0.1), "never": pa.nulls(N, pa.float64()), "nobody": pa.nulls(N, pa.int64()),
        "v": rng.random((N, 2)).tolist(),
        "day": np.repeat([f"2024-01-0{n}" for n in range(1, 7)], N // 6), "click": [0, 1] * (N // 2),
    })


@pytest.fixture(scope="module", params=list(SPLITS))
def log(ingested_once: Callable[..., Any], request: pytest.FixtureRequest) -> tuple[Problem, Examples]:
    data: dict[str, Any] = {"split": SPLITS[request.param], "memory_limit": "100MB"}
    made: tuple[Problem, Examples] = ingested_once(frame(), FEATURES, data=data)
    return made


def by_sql(monkeypatch: pytest.MonkeyPatch, problem: Problem, examples: Examples) -> Fitted:
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "count", lambda *arguments: Counts())
        return Encoder.fit(problem, examples, 8).fitted


def check_equal(found: Fitted, expected: Fitted) -> None:
    for name, rows in expected.vocabularies.items():
        if isinstance(rows, Vocabulary):
            own = found.vocabularies[name]
            assert isinstance(own, Vocabulary)
            assert own.table.schema.equals(rows.table.schema)
            assert own.table.combine_chunks().equals(rows.table.combine_chunks()), name
    assert found.scales == expected.scales
    assert found.layout == expected.layout
    assert found.warnings == expected.warnings


def test_counts_are_those_of_sql(
    log: tuple[Problem, Examples], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Encoder.fit(*log, 8).fitted
    check_equal(found, by_sql(monkeypatch, *log))
    assert [warning.split(":")[0] for warning in found.warnings] == ["features.never", "features.nobody"]


def test_nothing_is_asked_twice(log: tuple[Problem, Examples]) -> None:
    """All but quantiles and hashed ids is counted; SQL would read the rows again for it."""
    counts = count(*log, log[1].features, 1 << 27, SILENT)
    owners = {"user", "word", "few", "some", "both", "tags", "texts", "flag", "nobody"}
    assert set(counts.values) == owners
    assert {column for column, _ in counts.moments} == {"x", "y", "z", "same", "never"}


def test_what_finds_no_room_is_left_to_sql(
    log: tuple[Problem, Examples], monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, examples = log
    monkeypatch.setattr(fitting, "held_bytes", lambda limit: 1 << 20)
    counts = count(problem, examples, examples.features, 1 << 20, SILENT)
    assert 0 < len(counts.values) < 9
    check_equal(Encoder.fit(problem, examples, 8).fitted, by_sql(monkeypatch, problem, examples))


def test_sql_is_opened_where_it_is_asked_and_closed(
    log: tuple[Problem, Examples], ingested: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[duckdb.DuckDBPyConnection] = []

    def recorded(*given: Any) -> duckdb.DuckDBPyConnection:
        opened.append(connect(*given))
        return opened[-1]

    monkeypatch.setattr(fitting, "connect", recorded)
    Encoder.fit(*log, 8)  # a quantile is asked for in SQL
    assert len(opened) == 1
    with pytest.raises(duckdb.ConnectionException):
        opened[0].execute("SELECT 1")
    counted = {name: FEATURES[name] for name in ("user", "word", "x")}
    problem, examples = ingested(frame(), counted, data={"split": SPLITS["days"]})
    Encoder.fit(problem, examples, 8)
    assert len(opened) == 1


def test_rows_without_a_day(ingested: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"split": SPLITS["hash"], "impressions": {"day": None}}
    problem, examples = ingested(frame().drop(["day"]), {"user": FEATURES["user"]}, data=data)
    found = Encoder.fit(problem, examples, 8).fitted
    check_equal(found, by_sql(monkeypatch, problem, examples))
    own = found.vocabularies["user"]
    assert isinstance(own, Vocabulary)
    assert own.table["first_day"].null_count == len(own.table)


@pytest.mark.parametrize("kind", [pa.int64(), pa.string()])
def test_a_counter_by_hand(kind: pa.DataType) -> None:
    rng = np.random.default_rng(8)
    counter, expected, days = Counter(kind), Tally[Any](), dict[Any, tuple[int, int]]()
    for day in range(6):
        values = [None if n % 11 == 0 else int(n) * 2**33 for n in rng.zipf(1.2, 4000) % 5000]
        if pa.types.is_string(kind):
            values = [None if n is None else str(n)[: n % 20] * 3 for n in values]
        wanted, times = rng.random(4000) < 0.7, rng.integers(1, 5, 4000)
        counter.count(pa.array([None, *values], kind)[1:], day, 1 << 30, wanted, times)
        for value, is_wanted, how_often in zip(values, wanted, times, strict=True):
            if is_wanted and value is not None:
                expected[value] += int(how_often)
                days[value] = days.get(value, (day, day))[0], day
    found = counter.values.to_pylist()
    assert dict(zip(found, counter.seen["count"].tolist(), strict=True)) == expected
    assert {v: tuple(s)[1:] for v, s in zip(found, counter.seen.tolist(), strict=True)} == days
    assert len(found) > 2000


def test_a_counter_that_may_not_grow_says_so() -> None:
    counter = Counter(pa.int64())
    counter.count(pa.array(range(1000)), 0, 0)
    with pytest.raises(Full):
        counter.count(pa.array(range(5000)), 0, counter.nbytes)
