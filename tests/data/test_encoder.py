"""The encoder: fitted on train, the same in training and scoring, and strict about its input."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recmtl.batch import Slot
from recmtl.data.encoder import Encoder
from recmtl.errors import RecmtlError

BIG = 2**63 - 1
DAYS = ["2024-01-01", "2024-01-01", "2024-01-02", "2024-01-02", "2024-01-03", "2024-01-04"]


def log(**columns: Any) -> pa.Table:
    return pa.table({"day": DAYS, "click": [1, 0, 1, 0, 1, 0], **columns})


def table(**columns: Any) -> pa.Table:
    return pa.table(columns)


def test_vocabularies_come_from_train_alone(ingested: Callable[..., Any]) -> None:
    problem, examples = ingested(
        log(item=[7, 7, BIG, -2, 99, 100]), {"item": {"kind": "categorical"}}
    )
    encoder = Encoder.fit(problem, examples, 8)
    found = encoder.fitted.vocabularies["item"].table.to_pandas().astype(str)
    assert found.to_dict("list") == {
        "value": ["7", "-2", str(BIG)], "row": ["3", "4", "5"], "count": ["2", "1", "1"],
        "first_day": ["2024-01-01", "2024-01-02", "2024-01-02"],
        "last_day": ["2024-01-01", "2024-01-02", "2024-01-02"],
    }
    got = encoder.encode(table(item=[BIG, BIG - 1, None, 99, 7]))
    assert got.rows[:, 0].tolist() == [5, 2, 1, 2, 3]
    assert got.rows.dtype == np.int32


def test_the_layout_lays_tables_of_one_width_behind_each_other(ingested: Callable[..., Any]) -> None:
    problem, examples = ingested(
        log(b=[1, 2, 1, 1, 1, 1], a=["x"] * 6, c=[5] * 6, h=[[1], [2], [9], None, [], [1]],
            n=[1.0, 2, 3, 4, 5, 6], v=[[1.0, 2.0]] * 6),
        {"b": {"kind": "categorical"}, "a": {"kind": "categorical", "width": 4},
         "c": {"kind": "categorical", "buckets": 10}, "h": {"kind": "history", "share": "b"},
         "n": {"kind": "numeric"}, "v": {"kind": "vector", "size": 2}},
    )
    layout = Encoder.fit(problem, examples, 8).layout
    assert layout.slots == (Slot("a", 4, 0, 4), Slot("b", 8, 0, 6), Slot("c", 8, 6, 13))
    assert layout.lists == (Slot("h", 8, 0, 6),)
    assert layout.tables == {4: 4, 8: 19}
    assert layout.dense == {"n": 2, "v": 2}
    assert layout.labels == ("click",)


def test_a_shared_vocabulary_counts_the_union(ingested: Callable[..., Any]) -> None:
    problem, examples = ingested(
        log(item=[1, 2, 3, 3, 8, 9], seen=[[5, 5, 5], [1, None], None, [2, 4], [9], []]),
        {"item": {"kind": "categorical", "min_count": 2},
         "seen": {"kind": "history", "share": "item", "last": 2}},
    )
    encoder = Encoder.fit(problem, examples, 8)
    # of [5, 5, 5] the history reads two: 1 ×2, 2 ×2, 3 ×2, 5 ×2, 4 ×1
    assert encoder.fitted.vocabularies["item"].table["value"].to_pylist() == [1, 2, 3, 5, 4]
    got = encoder.encode(table(item=[5, 4], seen=[[1, 2, 3], [None, 4]]))
    assert got.rows[:, 0].tolist() == [6, 2]
    values, offsets = got.lists["seen"]
    assert values.tolist() == [4, 5, 1, 2]
    assert offsets.tolist() == [0, 2, 4]
    assert offsets.dtype == np.int64


def test_sharing_ids_of_two_types_is_refused(ingested: Callable[..., Any]) -> None:
    problem, examples = ingested(
        log(item=[1] * 6, other=["1"] * 6),
        {"item": {"kind": "categorical"}, "other": {"kind": "categorical", "share": "item"}},
    )
    with pytest.raises(RecmtlError, match=r"\[features\] other: its ids are VARCHAR"):
        Encoder.fit(problem, examples, 8)


def test_a_cross_is_one_id_and_keeps_its_parts_apart(ingested: Callable[..., Any]) -> None:
    problem, examples = ingested(
        log(a=["x\x1f", "x", "x\\u", "x", None, "y"], b=["y", "\x1fy", "y", "y", "y", "y"],
            c=[1, 1, 1, None, 1, 1]),
        {"ab": {"kind": "cross", "of": ["a", "b"]}, "abc": {"kind": "cross", "of": ["a", "b", "c"]}},
    )
    encoder = Encoder.fit(problem, examples, 8)
    got = encoder.encode(table(
        a=["x\x1f", "x", "x\\u", "x", None, "new"], b=["y", "\x1fy", "y", "y", "y", "y"],
        c=[1, 1, 1, None, 1, 1],
    ))
    first, second = got.rows[:, 0], got.rows[:, 1] - encoder.layout.slots[1].first
    assert sorted(first[:4].tolist()) == [3, 4, 5, 6]
    assert first[4:].tolist() == [1, 2]
    assert sorted(second[:3].tolist()) == [3, 4, 5]
    assert second[3:].tolist() == [1, 1, 2]


def test_what_scoring_gets_may_differ_in_width_not_in_kind(ingested: Callable[..., Any]) -> None:
    problem, examples = ingested(
        log(item=[1, 2, 1, 1, 1, 1], tag=["4, 5", "5", "", None, "6", "7"]),
        {"item": {"kind": "categorical"}, "tag": {"kind": "bag", "separator": ","}},
    )
    encoder = Encoder.fit(problem, examples, 8)
    for kind in (pa.int8(), pa.int32(), pa.uint64(), pa.float32(), pa.float64()):
        got = encoder.encode(pa.table({
            "item": pa.array([1, 2, None], kind), "tag": ["5,,4 ", None, "9"], "extra": [0, 0, 0],
        }))
        assert got.rows[:, 0].tolist() == [3, 4, 1], kind
        values, offsets = got.lists["tag"]
        assert (values - encoder.layout.lists[0].first).tolist() == [3, 4, 2], kind
        assert offsets.tolist() == [0, 2, 2, 3]
    frame = pd.DataFrame({"item": [1.0, np.nan], "tag": ["4", "5"]})
    assert encoder.encode(pa.Table.from_pandas(frame)).rows[:, 0].tolist() == [3, 1]


@pytest.mark.parametrize(("column", "message"), [
    (pa.array([1.0, 2.5]), r"column 'item', row 1: a value that does not fit[\s\S]*2\.5"),
    (pa.array([1.0, 2.0**60]), r"column 'item', row 1"),
    (pa.array(["1", "2"]), r"column 'item'[\s\S]*expected: integers\n  found:    string"),
    (pa.array([2**63, 1], pa.uint64()), r"column 'item'[\s\S]*64-bit integers"),
])
def test_ids_are_never_rounded_or_cut(
    ingested: Callable[..., Any], column: pa.Array, message: str
) -> None:
    problem, examples = ingested(log(item=[1] * 6), {"item": {"kind": "categorical"}})
    with pytest.raises(RecmtlError, match=message):
        Encoder.fit(problem, examples, 8).encode(table(item=column))


def test_a_missing_column_is_named_with_the_nearest(ingested: Callable[..., Any]) -> None:
    problem, examples = ingested(log(item=[1] * 6), {"item": {"kind": "categorical"}})
    with pytest.raises(RecmtlError, match=r"no column 'item'[\s\S]*did you mean 'items'"):
        Encoder.fit(problem, examples, 8).encode(table(items=[1]))


def test_a_vector_of_another_length_is_refused_with_its_row(ingested: Callable[..., Any]) -> None:
    problem, examples = ingested(log(v=[[1.0, 2.0]] * 6), {"v": {"kind": "vector", "size": 2}})
    encoder = Encoder.fit(problem, examples, 8)
    got = encoder.encode(table(v=[[1.0, 2.0], None]))
    assert got.dense.tolist() == [[1, 2], [0, 0]]
    with pytest.raises(RecmtlError, match=r"column 'v', row 2[\s\S]*lists of 2 floats[\s\S]*one of 1"):
        encoder.encode(table(v=[[1.0, 2.0], None, [1.0]]))


def test_features_without_a_value_on_train_are_warnings(ingested: Callable[..., Any]) -> None:
    empty = [None, None, None, None, 5, 6]
    features: dict[str, Any] = {
        "a": {"kind": "categorical"}, "b": {"kind": "categorical", "buckets": 4, "column": "a"},
        "n": {"kind": "numeric"}, "full": {"kind": "categorical"},
    }
    problem, examples = ingested(
        log(a=pa.array(empty, pa.int64()), n=pa.array(empty, pa.float64()), full=[1] * 6), features
    )
    encoder = Encoder.fit(problem, examples, 8)
    assert [w.partition(":")[0] for w in encoder.warnings] == [
        "features.a", "features.b", "features.n"
    ]
    got = encoder.encode(table(a=[5, None], n=[2.0, None], full=[1, 1]))
    assert got.rows[:, 0].tolist() == [2, 1]
    assert got.dense.tolist() == [[0, 0], [0, 1]]


def test_a_folder_without_an_encoder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecmtlError, match=r"encoder\.json: unreadable encoder"):
        Encoder.load(tmp_path)
