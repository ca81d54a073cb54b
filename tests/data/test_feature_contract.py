"""What every feature kind must hold: each registered kind walks through all of these tests."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recmtl.data.encoder import Encoded, Encoder
from recmtl.plugins import classes_of
from recmtl.schema import Computed, Feature

DAYS = ["2024-01-01"] * 3 + ["2024-01-02"] * 3 + ["2024-01-03", "2024-01-04"]
LOG = pa.table({
    "day": DAYS, "click": [1, 0, 1, 0, 1, 0, 1, 0],
    "id": pa.array([5, 2**63 - 1, -7, 5, None, 5, 1, 2]),
    "word": pa.array(["a", "b", None, "ü", "a", "a", "b", "c"]),
    "ids": pa.array([[5, 5], [], None, [2**63 - 1, -7, None], [5], [1, 2, 3], [9], [5]]),
    "x": pa.array([1.5, None, -3.0, 0.0, 1e6, 2.0, 7.0, 8.0]),
    "v": pa.array([[1.0, 2.0], None, [0.5, 0.0], [1.0, 1.0], [2.0, 2.0], None, [3.0, 3.0], None]),
})
JOINED = pa.table({
    "f": pa.array([None, None, 0.5, 0.0, 1.0, None, 0.25, 3.0]),
    "f.n": pa.array([None, None, 3.0, 0.0, 1.0, None, 1e6, 3.0]),
})  # what the encoder is given of a rate or a count called f
ROWS = pa.table({name: table[name] for table in (LOG, JOINED) for name in table.column_names})
FORMS: dict[str, list[dict[str, Any]]] = {
    "categorical": [{"column": "id"}, {"column": "word"}, {"column": "id", "min_count": 2},
                    {"column": "word", "max_size": 1}, {"column": "word", "buckets": 5}],
    "bag": [{"column": "ids"}, {"column": "ids", "buckets": 3}],
    "history": [{"column": "ids", "last": 2}, {"column": "ids", "width": 3}],
    "numeric": [{"column": "x", "transform": t} for t in ("standardise", "log1p", "quantile", "none")],
    "vector": [{"column": "v", "size": 2}],
    "cross": [{"of": ["id", "word"]}, {"of": ["id", "word"], "buckets": 7}],
    "rate": [{"of": ["id"], "label": "click"}, {"of": ["word", "id"], "label": "click", "days": 1}],
    "count": [{"of": ["id"]}, {"of": ["word"], "label": "click", "days": 2}],
}
CASES = [(kind, form) for kind, forms in FORMS.items() for form in forms]


def parts(encoded: Encoded) -> list[list[Any]]:
    """One comparable value a row."""
    lists = [
        [values[a:b].tolist() for a, b in pairwise(offsets)]
        for values, offsets in encoded.lists.values()
    ]
    return [list(row) for row in zip(encoded.rows.tolist(), encoded.dense.tolist(), *lists, strict=True)]


@pytest.fixture(scope="module", params=CASES, ids=[f"{kind}-{form}" for kind, form in CASES])
def fitted(ingested_once: Callable[..., Any], request: pytest.FixtureRequest) -> tuple[Any, Encoder]:
    kind, form = request.param
    made = ingested_once(LOG, {"f": {"kind": kind, **form}})
    return made, Encoder.fit(*made, 8)


@pytest.fixture
def encoder(fitted: tuple[Any, Encoder]) -> Encoder:
    return fitted[1]


def test_every_registered_kind_is_here() -> None:
    classes = [c for c in classes_of(Feature) if c is not Computed]
    assert set(FORMS) == {c.model_fields["kind"].default for c in classes}


def test_shapes_follow_the_layout(encoder: Encoder) -> None:
    got, layout = encoder.encode(ROWS), encoder.layout
    assert got.rows.shape == (8, len(layout.slots))
    assert got.dense.shape == (8, sum(layout.dense.values()))
    assert got.dense.dtype == np.float32
    assert np.isfinite(got.dense).all()
    assert set(got.lists) == {slot.name for slot in layout.lists}
    assert len(layout.slots) + len(layout.lists) + len(layout.dense) == 1
    for slot, rows in [
        *((s, got.rows[:, i]) for i, s in enumerate(layout.slots)),
        *((s, got.lists[s.name][0]) for s in layout.lists),
    ]:
        assert rows.min() >= slot.first + 1
        assert rows.max() < slot.first + slot.size <= layout.tables[slot.width]


def test_save_and_load_encode_the_same(encoder: Encoder, tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    folder.mkdir()
    encoder.save(folder)
    loaded = Encoder.load(folder)
    assert parts(loaded.encode(ROWS)) == parts(encoder.encode(ROWS))
    assert loaded.layout == encoder.layout
    assert loaded.digest == encoder.digest
    assert loaded.warnings == encoder.warnings


def test_a_row_is_encoded_the_same_in_any_company(encoder: Encoder) -> None:
    whole = parts(encoder.encode(ROWS))
    order = [3, 0, 7, 1, 6, 2, 5, 4]
    assert parts(encoder.encode(ROWS.take(order))) == [whole[i] for i in order]
    for row in range(8):
        assert parts(encoder.encode(ROWS.slice(row, 1))) == [whole[row]]
    assert parts(encoder.encode(ROWS.slice(0, 0))) == []


def test_all_null_columns_are_encoded(encoder: Encoder) -> None:
    nulls = pa.table({name: pa.nulls(2) for name in encoder.columns})
    got = encoder.encode(nulls)
    for place, slot in enumerate(encoder.layout.slots):
        assert got.rows[:, place].tolist() == [slot.first + 1] * 2
    assert all(len(values) == 0 for values, _ in got.lists.values())
    assert np.isfinite(got.dense).all()


def test_fitting_twice_gives_the_same(fitted: tuple[Any, Encoder]) -> None:
    made, encoder = fitted
    again = Encoder.fit(*made, 8)
    assert parts(again.encode(ROWS)) == parts(encoder.encode(ROWS))
    assert again.digest == encoder.digest
