"""Side tables with a history: each impression meets the one row that held at its time, or none."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from recmtl.data.candidates import Candidates, Source
from recmtl.data.encoder import Encoder
from recmtl.data.examples import Examples
from recmtl.data.ingest import ingest
from recmtl.errors import RecmtlError
from recmtl.schema import Impressions, Problem
from tests.data.made_log import problem, rows, write

MIDNIGHT = 1651507200  # 2022-05-02 16:00 UTC
LOG: dict[str, list[Any]] = {
    "user": [1, 1, 1, 1, 2, 3, None],
    "t": [MIDNIGHT + s for s in (-1, 0, 59, 60, 30, 30, 30)],
    "y": [1, 0, 0, 1, 1, 0, 1],
}
USERS: dict[str, list[Any]] = {
    "user": [1, 1, 2, None],
    "updated_ms": [1000 * (MIDNIGHT + s) for s in (60, 0, 0, 0)],
    "level": ["gold", "new", "new", "nobody"],
}
HISTORY = {"path": "users.parquet", "on": "user", "valid_from": "updated_ms", "unit": "ms"}


def made(root: Path, **join: Any) -> Problem:
    return problem(
        root, labels={"l": "y"}, features={"level": {"kind": "categorical"}},
        tasks={"t": {"label": "l"}},
        data={"joins": [{**HISTORY, **join}], "impressions": {
            "path": "log.parquet", "time": "t", "unit": "s", "zone": "UTC",
        }},
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "log.parquet", LOG)
    write(tmp_path / "users.parquet", USERS)
    return tmp_path


def test_the_row_that_held_at_the_impressions_time(root: Path) -> None:
    manifest = ingest(made(root), root / "out")
    assert rows(root / "out", "_row", "level") == [
        (0, None), (1, "new"), (2, "new"), (3, "gold"), (4, "new"), (5, None), (6, None)
    ]
    warning, null = manifest["warnings"]
    assert null == "1 rows have no user, though it is a key of theirs"
    assert "3 impressions have no row for their user that held at their time" in warning


def test_the_latest_row_where_the_file_says_so(root: Path) -> None:
    manifest = ingest(made(root, at="latest"), root / "out")
    assert [level for (level,) in rows(root / "out", "level")] == [*["gold"] * 4, "new", None, None]
    assert "2 impressions have no row for their user;" in manifest["warnings"][0]


def test_the_latest_row_as_of_a_time(root: Path) -> None:
    """With the time moves what each day is made from."""
    one = made(root, at="latest")
    early = one.known_at("2022-05-02T16:00:30Z")
    ingest(early, root / "out")
    assert set(rows(root / "out", "level")) == {("new",), (None,)}
    ingest(one.known_at("2022-05-02T16:01:30Z"), root / "out")
    assert set(rows(root / "out", "user", "level")) == {(1, "gold"), (2, "new"), (3, None), (None, None)}


def test_rows_that_where_leaves_out_hold_at_no_time(root: Path) -> None:
    """In ingest as in scoring; a key may be there twice among them, and a time be missing."""
    users = {name: values + values[:1] for name, values in USERS.items()}
    users["updated_ms"] = [*USERS["updated_ms"], None]
    users["draft"] = [True, False, False, False, True]
    write(root / "users.parquet", users)
    one = made(root, where="not draft")
    ingest(one, root / "out")
    levels = [None, "new", "new", "new", "new", None, None]
    assert [level for (level,) in rows(root / "out", "level")] == levels
    encoder = Encoder.fit(one, Examples.open(root / "out"), 4)
    table = pa.table({"user": LOG["user"], "t": LOG["t"]})
    ((_, scored),) = Candidates(one, encoder).read([Source("rows", table.schema, [table])])
    assert scored["level"].to_pylist() == levels


def test_rows_that_where_leaves_out_of_a_plain_side_table(root: Path) -> None:
    write(root / "users.parquet", {**USERS, "draft": [0, 1, 0, 0]})
    one = made(root, valid_from=None, unit=None, where="draft = 0")
    ingest(one, root / "out")
    levels = [*["gold"] * 4, "new", None, None]
    assert [level for (level,) in rows(root / "out", "level")] == levels


def test_a_history_of_another_unit_is_told_which(root: Path) -> None:
    manifest = ingest(made(root, unit="us"), root / "out")
    (said,) = [warning for warning in manifest["warnings"] if "would make it" in warning]
    assert "data.joins[0]: the column 'updated_ms'" in said and "in row 0 of" in said
    assert said.endswith('unit = "ms" would make it a time of 2022-05-02')


def test_a_where_that_does_not_fit_its_side_table(root: Path) -> None:
    with pytest.raises(RecmtlError, match=r"data\.joins\[0\]\.where: no column 'leval'"):
        ingest(made(root, where="leval = 'gold'"), root / "out")
    write(root / "users.parquet", {**USERS, "draft": [0, 0, 7, 0]})
    with pytest.raises(RecmtlError, match=r"'draft' is neither 0 nor 1[^§]*data\.joins\[0\]\.where"):
        ingest(made(root, where="not draft"), root / "out")


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("s", "Asia/Tokyo")])
def test_times_of_other_types(root: Path, kind: pa.DataType) -> None:
    stamps = pa.array([s // 1000 for s in USERS["updated_ms"]], pa.timestamp("s", "UTC")).cast(kind)
    write(root / "users.parquet", {**USERS, "updated_ms": stamps})
    ingest(made(root, unit=None), root / "out")
    assert rows(root / "out", "level")[:4] == [(None,), ("new",), ("new",), ("gold",)]


def test_a_random_history_agrees_with_polars(root: Path) -> None:
    """Two keys, 40,000 impressions on three days; every row comes out once."""
    draw = np.random.default_rng(5)
    log = pl.DataFrame({
        "user": draw.integers(0, 50, 40_000), "place": draw.choice(["a", "b"], 40_000),
        "t": MIDNIGHT + draw.integers(0, 3 * 86_400, 40_000), "y": draw.integers(0, 2, 40_000),
    })
    levels = pl.DataFrame({
        "user": draw.integers(0, 45, 3_000), "place": draw.choice(["a", "b"], 3_000),
        "updated_ms": 1000 * (MIDNIGHT + draw.integers(-3_600, 3 * 86_400, 3_000)),
    }).unique().with_row_index("level")
    log.write_parquet(root / "log.parquet")
    levels.write_parquet(root / "users.parquet")
    ingest(made(root, on=["user", "place"]), root / "out")
    found = dict(rows(root / "out", "_row", "level"))
    expected = log.with_row_index("_row").with_columns(updated_ms=pl.col("t") * 1000).sort(
        "updated_ms"
    ).join_asof(levels.sort("updated_ms"), on="updated_ms", by=["user", "place"],
                check_sortedness=False)
    assert len(rows(root / "out")) == 40_000
    assert found == dict(expected.select("_row", "level").rows())
    assert 0 < expected["level"].null_count() < 10_000


@pytest.mark.parametrize(
    ("users", "join", "words"),
    [
        ({"updated_ms": [1000, 1000, 5, 5]}, {},
         ["1 keys", "one row a user, updated_ms", "user = 1, updated_ms = 1970-01-01 00:00:01, 2 rows"]),
        ({"updated_ms": [1000, 1000, 5, 5]}, {"at": "latest"}, ["user = 1"]),
        ({"updated_ms": [1, None, None, 5]}, {},
         ["'updated_ms' has no time in 2 rows", "users.parquet", "valid_from"]),
        ({}, {"unit": None}, ["data.joins[0].valid_from", "which unit"]),
        ({"updated_ms": ["now"] * 4}, {}, ["data.joins[0].valid_from", "VARCHAR", "a timestamp"]),
        ({}, {"valid_from": "updated"}, ["did you mean 'updated_ms'"]),
        ({}, {"valid_from": None, "unit": None}, ["user = 1, 2 rows", "valid_from"]),
    ],
)
def test_histories_that_are_refused(
    root: Path, users: dict[str, Any], join: dict[str, Any], words: list[str]
) -> None:
    write(root / "users.parquet", USERS | users)
    with pytest.raises(RecmtlError) as error:
        ingest(made(root, **join), root / "out")
    assert [word for word in words if word not in str(error.value)] == []
    assert not (root / "out").exists()


def test_settings_that_do_not_go_together(root: Path) -> None:
    with pytest.raises(ValidationError, match="name the column of the time from which a row holds"):
        made(root, valid_from=None)
    with pytest.raises(ValidationError, match=r"joins\[0\].valid_from .* name impressions.time"):
        problem(root, data={"joins": [HISTORY]})


def test_the_time_that_both_tables_have_is_no_feature_of_either(root: Path) -> None:
    write(root / "users.parquet", {**USERS, "t": [s // 1000 for s in USERS["updated_ms"]]})
    same = made(root, valid_from="t", unit="s").model_dump(exclude_unset=True)
    same["features"]["t"] = {"kind": "numeric"}
    ingest(Problem.model_validate({**same, "root": root}), root / "out")
    assert rows(root / "out", "t")[1] == (float(MIDNIGHT),)


def test_scoring_meets_the_rows_time_or_the_latest_row(root: Path) -> None:
    one = made(root)
    changed = one.model_dump(exclude_unset=True)
    changed["data"]["split"] = {"hash": ["user", "t"], "valid": 0.1, "test": 0.1}
    one = Problem.model_validate({**changed, "root": root})
    ingest(one, root / "out")
    candidates = Candidates(one, Encoder.fit(one, Examples.open(root / "out"), 4))
    assert candidates.reads(["user", "t", "y"]) == ["user", "t"]
    timed = pa.table({name: LOG[name] for name in ("user", "t")})
    ((_, found),) = candidates.read([Source("rows", timed.schema, [timed])])
    assert found["level"].to_pylist() == [None, "new", "new", "gold", "new", None, None]
    bare = timed.select(["user"])
    ((_, found),) = candidates.read([Source("rows", bare.schema, [bare])])
    assert found["level"].to_pylist() == [*["gold"] * 4, "new", None, None]
    untimed = pa.table({"user": [1, 1], "t": pa.array([None, MIDNIGHT])})
    ((_, found),) = candidates.read([Source("rows", untimed.schema, [untimed])])
    assert found["level"].to_pylist() == [None, "new"]


def test_a_half_known_key_twice_is_no_key_twice(root: Path) -> None:
    """No impression meets it."""
    pq.write_table(pa.table({"user": [1, 2, 2], "y": [1, None, None], "level": ["a", "b", "c"]}),
                   root / "users.parquet")
    ingest(made(root, on=["user", "y"], valid_from=None, unit=None), root / "out")
    assert rows(root / "out", "level")[:2] == [("a",), (None,)]


@pytest.mark.parametrize(("zone", "met"), [
    ("UTC", [None, "a"]), ("America/New_York", [None, None, "a"]), ("Asia/Shanghai", ["a"]),
])
@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us")])
def test_dates_begin_in_the_zone_of_the_log(
    root: Path, zone: str, met: list[str | None], kind: pa.DataType
) -> None:
    """At 22:00 on the day before in New York, 02:00 in UTC, nobody knows what holds from that date on."""
    utc = int(datetime(2022, 5, 2, tzinfo=UTC).timestamp())
    times = [utc - 2 * 3600, utc + 2 * 3600, utc + 5 * 3600]
    write(root / "log.parquet", {"user": [1] * 3, "t": times, "y": [0, 1, 1]})
    write(root / "users.parquet", {
        "user": [1], "updated_ms": pa.array([date(2022, 5, 2)]).cast(kind), "level": ["a"],
    })
    problem = made(root, unit=None)
    source = problem.data.impressions.model_copy(update={"zone": zone})
    data = problem.data.model_copy(update={"impressions": source})
    ingest(problem.model_copy(update={"data": data}), root / "out")
    found = [level for _, level in sorted(rows(root / "out", "_row", "level"))]
    assert found == [*met, "a", "a"][:3]


def test_times_without_a_zone_on_both_sides_are_compared_as_they_stand(root: Path) -> None:
    noon = datetime(2022, 5, 2, 12)
    write(root / "log.parquet", {"user": [1, 1], "t": [noon - timedelta(hours=1), noon], "y": [0, 1]})
    write(root / "users.parquet", {"user": [1], "updated_ms": [noon], "level": ["a"]})
    problem = made(root, unit=None)
    source = {"path": "log.parquet", "time": "t", "zone": "Asia/Shanghai"}
    data = problem.data.model_copy(update={"impressions": Impressions.model_validate(source)})
    ingest(problem.model_copy(update={"data": data}), root / "out")
    assert rows(root / "out", "_row", "level") == [(0, None), (1, "a")]
