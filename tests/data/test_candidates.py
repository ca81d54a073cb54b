"""Rows to score come out as many as went in, in their order, exact, whatever is joined to them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recmtl.data.candidates import Candidates, Source
from recmtl.data.encoder import Encoder
from recmtl.data.examples import Examples
from recmtl.data.ingest import ingest
from recmtl.errors import RecmtlError
from recmtl.schema import Problem

LARGE = 2**63 - 1
USERS = pa.table({"user": [5, 3, LARGE, None], "age": [50, 30, 63, 1], "unused": ["a", "b", "c", "d"]})


@pytest.fixture
def candidates(tmp_path: Path) -> Candidates:
    pq.write_table(USERS, tmp_path / "users.parquet")
    pq.write_table(pa.table({
        "user": [5, 3, LARGE, 4] * 2, "click": [0, 1] * 4,
        "day": [f"2024-01-0{1 + i // 2}" for i in range(8)],
    }), tmp_path / "log.parquet")
    problem = Problem.model_validate({
        "name": "tiny", "root": tmp_path,
        "data": {
            "impressions": {"path": "log.parquet", "day": "day"}, "keys": ["user"],
            "split": {"valid": "2024-01-03", "test": "2024-01-04"},
            "joins": [{"path": "users.parquet", "on": "user"}],
        },
        "features": {"user": {"kind": "categorical"}, "age": {"kind": "numeric"}},
        "labels": {"click": "click"}, "tasks": {"ctr": {"label": "click"}},
    })
    ingest(problem, tmp_path / "examples")
    return Candidates(problem, Encoder.fit(problem, Examples.open(tmp_path / "examples"), 4))


def test_rows_keep_their_order_and_their_ids_through_a_join(candidates: Candidates) -> None:
    user = np.random.default_rng(0).choice([5, 3, LARGE, 4], 20_000)
    table = pa.table({"user": user, "click": ["no label"] * len(user)})
    pieces = [table.slice(start, 7_000) for start in range(0, len(user), 7_000)]
    out = [t for _, t in candidates.read([Source("rows", table.schema, pieces)])]
    assert [t.num_rows for t in out] == [7_000, 7_000, 6_000]
    whole = pa.concat_tables(out)
    assert whole["user"].to_numpy().tolist() == user.tolist()
    age = {5: 50.0, 3: 30.0, LARGE: 63.0, 4: None}
    assert whole["age"].to_pylist() == [age[u] for u in user.tolist()]


def test_no_piece_gives_one_without_rows(candidates: Candidates) -> None:
    schema = pa.schema({"user": pa.int16()})
    ((_, only),) = candidates.read([Source("rows", schema, [])])
    assert only.num_rows == 0 and set(only.column_names) == {"user", "age"}


def test_only_what_is_needed_is_read(candidates: Candidates) -> None:
    assert candidates.reads(["click", "day", "age", "other", "user"]) == ["user", "age"]


def test_a_row_without_a_key_finds_no_row(candidates: Candidates) -> None:
    table = pa.table({"user": pa.array([None, 3], pa.float64())})
    ((_, found),) = candidates.read([Source("rows", table.schema, [table])])
    assert found.to_pylist() == [{"user": None, "age": None}, {"user": 3, "age": 30.0}]


def test_each_source_is_read_by_its_own_columns(candidates: Candidates) -> None:
    ids, texts = (pa.table({"user": pa.array([5], kind)}) for kind in (pa.int16(), pa.float32()))
    given = pa.table({"user": [5], "age": [1.5]})
    tables = [ids, given, texts, texts, given]
    found = list(candidates.read(Source("rows", t.schema, [t]) for t in tables))
    assert [number for number, _ in found] == [0, 1, 2, 3, 4]
    assert [t["age"].to_pylist() for _, t in found] == [[50.0], [1.5], [50.0], [50.0], [1.5]]
    assert {t["user"].type for _, t in found} == {pa.int64()}


def test_a_side_table_is_read_once_for_sources_of_the_same_columns(
    candidates: Candidates, tmp_path: Path
) -> None:
    table = pa.table({"user": [3]})
    found = candidates.read(Source(name, table.schema, [table]) for name in ("a", "b"))
    first = next(found)
    (tmp_path / "users.parquet").unlink()
    assert [t["age"].to_pylist() for _, t in (first, next(found))] == [[30.0], [30.0]]


def test_an_error_names_the_source_that_it_is_in(candidates: Candidates) -> None:
    for columns in ({"user": [1.0]}, {"user": [1.0], "age": [2.0]}):
        table = pa.table(columns)
        bad = table.set_column(0, "user", pa.array([0.5]))
        found = candidates.read([Source("a", table.schema, [table]), Source("b", bad.schema, [bad])])
        next(found)
        with pytest.raises(RecmtlError, match="'user' is not a whole number") as caught:
            next(found)
        assert str(caught.value).startswith("b:")
