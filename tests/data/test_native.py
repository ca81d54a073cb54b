"""The loops of encoding in C++ against pandas and numpy, and both against what is worked out by hand."""

import copy
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recmtl.data import native
from recmtl.data.encoder import Encoded, Encoder
from recmtl.data.storage.rare import RareIds
from recmtl.data.storage.rowfiles import Rows, take_lists

COMPILED = native._library
N = 3000  # more than a tile of the loops, and no multiple of it
FEATURES: dict[str, Any] = {
    "item": {"kind": "categorical"}, "word": {"kind": "categorical"},
    "hashed": {"kind": "categorical", "buckets": 7, "column": "item"},
    "both": {"kind": "cross", "of": ["item", "word"]},
    "seen": {"kind": "history", "share": "item"}, "tags": {"kind": "bag"},
    "x": {"kind": "numeric"}, "y": {"kind": "numeric", "transform": "log1p"},
    "z": {"kind": "numeric", "transform": "none"}, "v": {"kind": "vector", "size": 2},
}


pytestmark = pytest.mark.usefixtures("compiler")


def both(monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any]) -> tuple[Any, Any]:
    """What a call gives in C++ and without it."""
    found = []
    for library in (COMPILED, lambda: None):
        monkeypatch.setattr(native, "_library", library)
        found.append(call())
    return found[0], found[1]


def frame(rows: int, infinite: float = np.inf) -> pa.Table:
    rng = np.random.default_rng(5)
    some = rng.random(rows) < 0.1
    words = [f"w{n}" * (n % 5) for n in rng.integers(0, 40, rows)]
    lists = [rng.integers(0, 60, n).tolist() for n in rng.integers(0, 4, rows)]
    return pa.table({
        "item": pa.array(rng.integers(0, 50, rows) * 2**57 - 2**62, mask=some),
        "word": pa.array(words, mask=some[::-1]), "seen": pa.array(lists, pa.list_(pa.int64())),
        "tags": [None if n % 7 == 0 else words[n : n + 2] for n in range(rows)],
        "x": pa.array(rng.normal(9, 2, rows), mask=some), "y": rng.exponential(1, rows),
        "z": np.where(some, infinite, rng.normal(0, 1, rows)), "v": rng.random((rows, 2)).tolist(),
    })


@pytest.fixture
def saved(ingested: Callable[..., Any], tmp_path: Path) -> Path:
    days = np.repeat(["2024-01-01", "2024-01-03", "2024-01-04"], [N - 2, 1, 1])
    table = frame(N, np.nan).append_column("day", pa.array(days))
    table = table.append_column("click", pa.array([0, 1] * (N // 2)))
    problem, examples = ingested(table, FEATURES)
    folder = tmp_path / "encoder"
    folder.mkdir()
    Encoder.fit(problem, examples, 8).save(folder)
    return folder


def arrays(encoded: Encoded) -> list[np.ndarray]:
    return [encoded.rows, encoded.dense, *(a for pair in encoded.lists.values() for a in pair)]


def odd(table: pa.Table) -> pa.Table:
    """The same values in other types."""
    words = table["word"].combine_chunks()
    for name, column in (("word", words.dictionary_encode()), ("y", table["y"].cast(pa.float32()))):
        table = table.set_column(table.column_names.index(name), name, column)
    return table


FRAMES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "whole": lambda table: table,
    "other types": odd,
    "a slice": lambda table: table.slice(13, 1500),
    "no rows": lambda table: table.slice(0, 0),
    "two chunks": lambda table: pa.concat_tables([table.slice(100, 7), table.slice(3, 1100)]),
    "large strings": lambda table: table.set_column(1, "word", table["word"].cast(pa.large_string())),
    "nulls alone": lambda table: (
        table.set_column(0, "item", pa.nulls(N)).set_column(1, "word", pa.nulls(N, pa.string()))
    ),
}


def test_encoding_is_equal(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, change in FRAMES.items():
        table = change(frame(N))
        fast, plain = both(monkeypatch, lambda: arrays(Encoder.load(saved).encode(table)))  # noqa: B023
        for one, other in zip(fast, plain, strict=True):
            assert one.dtype == other.dtype and one.shape == other.shape, name
            assert one.tobytes() == other.tobytes(), name


def test_the_same_rare_ids_are_hidden(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, table = Encoder.load(saved), frame(N)
    monkeypatch.setattr("recmtl.data.storage.rare.AT_MOST", 60)
    monkeypatch.setattr("recmtl.data.storage.rare.SHARE", 0.3)
    origin = np.stack([np.arange(N) % 3, np.arange(N)], axis=1).astype(np.int32)

    encoded, chosen = encoder.encode(table), np.flatnonzero(np.arange(N) % 5)

    def hidden() -> list[np.ndarray]:
        found = copy.deepcopy(encoded)
        RareIds(encoder, 1).hide(Rows({"rows": found.rows, "origin": origin}, found.lists), chosen)
        return arrays(found)

    fast, plain = both(monkeypatch, hidden)
    for one, other in zip(fast, plain, strict=True):
        np.testing.assert_array_equal(one, other)
    before = arrays(encoded)
    assert (before[0] != fast[0]).any() and (before[2] != fast[2]).any()
    np.testing.assert_array_equal(before[0][::5], fast[0][::5])


@given(st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=4), max_size=40), st.data())
def test_lists_are_taken_in_any_order(lists: list[list[int]], data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=60)) if lists else []
    offsets = np.cumsum([0, *map(len, lists)])
    for kind in (np.int32, np.int64):
        values = np.array([v for each in lists for v in each], dtype=kind)
        taken, ends = take_lists(values, offsets, np.array(places, dtype=np.int64))
        assert taken.dtype == kind
        assert [taken[a:b].tolist() for a, b in pairwise(ends)] == [lists[place] for place in places]


def test_lists_beyond_the_values_are_refused() -> None:
    with pytest.raises(IndexError):
        take_lists(np.arange(4), np.array([0, 2, 5]), np.array([0, 1]))
    with pytest.raises(IndexError):
        take_lists(np.arange(4), np.array([0, 3, 1]), np.array([0, 1]))
