"""Rows that nothing is joined to are handed on as they are where SQL would make the same of them."""

import pyarrow as pa
import pytest
from sqlglot import exp

from recmtl.data.logs.values import Value
from recmtl.data.unjoined import as_they_are

NAN, INF = float("nan"), float("inf")
PLAIN = {
    "small integers as ids": ("BIGINT", pa.array([1, None], pa.int16())),
    "texts as ids": ("VARCHAR", pa.array(["a", None], pa.large_string())),
    "floats, null and NaN": ("DOUBLE", pa.array([1.5, None, NAN], pa.float32())),
    "nothing but nulls among floats": ("DOUBLE", pa.array([None], pa.float64())),
    "integers as numbers": ("DOUBLE", pa.array([1, None], pa.uint64())),
    "lists of integers": ("BIGINT[]", pa.array([[1], None, []], pa.list_(pa.int32()))),
    "lists of texts": ("VARCHAR[]", pa.array([["a"], None], pa.list_(pa.string()))),
    "texts to be cut": ("VARCHAR[]", pa.array(["a,b", None])),
    "vectors": ("FLOAT[]", pa.array([[1.0, 2.0], None], pa.list_(pa.float64()))),
}
FOR_SQL = {
    "floats as ids": ("BIGINT", pa.array([1.0])),
    "ids of which some may not fit": ("BIGINT", pa.array([2**63], pa.uint64())),
    "truth values as ids": ("BIGINT", pa.array([True])),
    "days as ids": ("VARCHAR", pa.array([0], pa.date32())),
    "an infinite number": ("DOUBLE", pa.array([1.0, -INF, NAN])),
    "decimals": ("DOUBLE", pa.array([1]).cast(pa.decimal128(38, 2))),
    "lists of floats as ids": ("BIGINT[]", pa.array([[1.0]])),
    "vectors of another size": ("FLOAT[]", pa.array([[1.0, 2.0], [3.0]])),
    "a vector as a text": ("FLOAT[]", pa.array(["1,2"])),
    "a type of nulls": ("VARCHAR", pa.nulls(2)),
}


def handed_on(kind: str, column: pa.Array, keys: tuple[str, ...] = ()) -> pa.Table | None:
    value = Value("log", "x", kind, exp.null())
    return as_they_are(pa.table({"y": column, "x": column}), [value], keys, {"x": 2})


@pytest.mark.parametrize(("kind", "column"), PLAIN.values(), ids=PLAIN)
def test_what_the_encoder_reads_is_handed_on(kind: str, column: pa.Array) -> None:
    found = handed_on(kind, column)
    assert found is not None and found.column_names == ["x"]
    assert found["x"].type == column.type
    assert repr(found["x"].to_pylist()) == repr(column.to_pylist())  # NaN is not equal to itself


@pytest.mark.parametrize(("kind", "column"), FOR_SQL.values(), ids=FOR_SQL)
def test_what_sql_has_to_read_or_to_name_is_not(kind: str, column: pa.Array) -> None:
    assert handed_on(kind, column) is None


def test_keys_are_carried_in_their_canonical_type() -> None:
    found = handed_on("BIGINT", pa.array([7, None], pa.uint8()), keys=("x",))
    assert found == pa.table({"x": pa.array([7, None], pa.int64())})
