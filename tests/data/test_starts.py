"""First values of embeddings: joined to the vocabulary by value, checked, saved and loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from recmtl.batch import Slot
from recmtl.data.encoder import Encoder
from recmtl.data.encoding import starts
from recmtl.data.encoding.starts import read_start
from recmtl.data.vocabulary import Vocabulary
from recmtl.errors import RecmtlError
from recmtl.schema.features import Bag, Categorical, Cross

BIG = 2**63 - 1
SLOT = Slot("item", 2, 10, 6)  # padding, null, unknown and three values, from row 10 of its table


def vocabulary(values: list[Any]) -> Vocabulary:
    """The values in rows 3, 4, …; the last one is too rare for a row."""
    days = ["2024-01-01"] * len(values)
    counts = {"count": [1] * len(values), "first_day": days, "last_day": days}
    return Vocabulary(pa.table({"value": values, **counts}), len(values) - 1)


def write(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "emb.parquet")
    return folder / "emb.parquet"


def read(file: Path, values: list[Any], kind: str = "BIGINT") -> tuple[starts.Start, list[str]]:
    return read_start(file, SLOT, vocabulary(values), kind, frozen=False)


def test_rows_are_joined_by_value_in_whatever_order_and_type(tmp_path: Path) -> None:
    pairs = pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float32(), 2))
    start, warnings = read(write(tmp_path, id=[BIG, 5, -7], vector=pairs), [5, -7, BIG, 9])
    assert start.rows.tolist() == [15, 13, 14]
    assert start.values.tolist() == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]] and warnings == []
    lists = pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float64()))
    start, _ = read(write(tmp_path, vector=lists, word=["ü", "a"]), ["a", "b", "ü", "rare"], "VARCHAR")
    assert start.rows.tolist() == [15, 13] and start.values.dtype == np.float32
    start, _ = read(write(tmp_path, id=[5.0, -7.0], vector=lists), [5, -7, BIG, 9])
    assert start.rows.tolist() == [13, 14]


def test_values_on_one_side_alone_are_counted(tmp_path: Path) -> None:
    file = write(tmp_path, id=[5, 9, 1000], vector=[[1.0, 2.0]] * 3)  # 9 is known, but has no row
    start, warnings = read(file, [5, -7, BIG, 9])
    assert start.rows.tolist() == [13]
    assert warnings == [
        "features.item.init: 2 of 3 values of emb.parquet are not in the vocabulary and are left out",
        "features.item.init: 2 of the vocabulary's 3 values are not in emb.parquet: their rows are drawn",
    ]


@pytest.mark.parametrize(("columns", "says"), [
    ({"id": [5], "vector": [[1.0, 2.0, 3.0]]}, "lists of 2 floats"),
    ({"id": [5, -7], "vector": [[1.0, 2.0], [1.0]]}, "row 1"),
    ({"id": [5], "vector": [[1.0, float("nan")]]}, "finite floats"),
    ({"id": [5], "vector": [[1.0, None]]}, "finite floats"),
    ({"id": ["five"], "vector": [[1.0, 2.0]]}, "integers"),
    ({"id": [5, None], "vector": [[1.0, 2.0]] * 2}, "'id' has nulls"),
    ({"id": [5, 6], "vector": [[1.0, 2.0], None]}, "'vector' has nulls"),
    ({"id": [5, 5], "vector": [[1.0, 2.0]] * 2}, "more than once"),
    ({"id": [5], "name": ["x"], "vector": [[1.0, 2.0]]}, "which column is which"),
    ({"id": [5], "x": [1.0]}, "which column is which"),
    ({"id": [6], "vector": [[1.0, 2.0]]}, "none of its values is in the feature's vocabulary"),
])
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, columns: dict[str, Any], says: str) -> None:
    file = write(tmp_path, **columns)
    with pytest.raises(RecmtlError) as caught:
        read(file, [5, -7, BIG, 9])
    assert says in str(caught.value) and f"[features] item: init {file}" in str(caught.value)


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "emb.parquet").write_text("no Parquet")
    with pytest.raises(RecmtlError, match="cannot be read as Parquet"):
        read(tmp_path / "emb.parquet", [5, 9])


def test_saved_and_loaded_they_are_equal(tmp_path: Path) -> None:
    given = [starts.Start(np.array([3, 9]), np.array([[1, 2], [3, 4]], np.float32), True),
             starts.Start(np.array([5]), np.array([[7.5]], np.float32), False)]
    starts.save(given, tmp_path)
    for found, wanted in zip(starts.load(tmp_path), given, strict=True):
        assert np.array_equal(found.rows, wanted.rows) and np.array_equal(found.values, wanted.values)
        assert found.frozen is wanted.frozen and found.values.dtype == np.float32
        assert found.rows.flags.writeable and found.values.flags.writeable  # torch reads them in place
    starts.save([], tmp_path / "none")
    assert starts.load(tmp_path / "none") == [] and not (tmp_path / "none").exists()


def test_an_encoder_is_saved_with_them_and_copied_without(
    ingested: Callable[..., Any], tmp_path: Path
) -> None:
    write(tmp_path, id=[7, 9], vector=[[1.0, 2.0], [3.0, 4.0]])
    log = pa.table({
        "day": ["2024-01-01"] * 2 + ["2024-01-03", "2024-01-04"], "click": [1, 0, 1, 1],
        "a": [1, 2, 1, 1], "h": [[7, 7], [8], [7], None],
    })
    given = {"init": str(tmp_path / "emb.parquet"), "freeze": True}
    features = {"a": {"kind": "categorical", "width": 2}, "h": {"kind": "history", "width": 2, **given}}
    encoder = Encoder.fit(*ingested(log, features), 8)
    (start,) = encoder.fitted.starts
    assert start.rows.tolist() == [5 + 3] and start.values.tolist() == [[1.0, 2.0]] and start.frozen
    assert any("1 of 2 values of emb.parquet are not in the vocabulary" in w for w in encoder.warnings)
    for folder in (tmp_path / "first", tmp_path / "again"):
        folder.mkdir()
    encoder.save(tmp_path / "first")
    assert len(starts.load(tmp_path / "first")) == 1
    again = Encoder.load(tmp_path / "first")
    again.save(tmp_path / "again")
    assert starts.load(tmp_path / "again") == [] and again.warnings == encoder.warnings


def test_options_that_do_not_go_together_are_refused() -> None:
    for options, says in (
        ({"init": "e.parquet", "buckets": 5}, "drop buckets"),
        ({"init": "e.parquet", "share": "item"}, "share takes all of the other feature's options"),
        ({"freeze": True}, "name their file"),
    ):
        with pytest.raises(ValidationError, match=says):
            Bag.model_validate(options)
    with pytest.raises(ValidationError, match="a cross has none"):
        Cross(of=("a", "b"), init="e.parquet")
    assert Categorical().model_dump() == Categorical(freeze=False).model_dump()
    assert not {"init", "freeze"} & Categorical().model_dump().keys()
