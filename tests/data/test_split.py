"""Splits as SQL: limits, files, and a hash that stays the same everywhere."""

import hashlib
from datetime import date, datetime

import duckdb
import pytest

from recmtl.data.split import part_of
from recmtl.errors import RecmtlError
from recmtl.schema import FilesSplit, HashSplit, Split, TimeSplit


def parts(split: Split, column: str, values: list[object], **options: object) -> list[str | None]:
    sql = part_of(split, **options)  # type: ignore[arg-type]
    query = f'SELECT {sql} FROM (SELECT unnest(?) AS "{column}") ORDER BY "{column}"'
    return [part for (part,) in duckdb.connect().execute(query, [values]).fetchall()]


def test_by_day_with_limits() -> None:
    split = TimeSplit(start="2022-05-01", valid="2022-05-02", test="2022-05-04", end="2022-05-04")
    days = [date(2022, 4, 30), *(date(2022, 5, d) for d in range(1, 6))]
    assert parts(split, "dt", days) == [None, "train", "valid", "valid", "test", None]


def test_by_time_in_the_zone() -> None:
    split = TimeSplit(valid="2022-05-03 00:00", test="2022-05-03 12:00", end="2022-05-04")
    times = [datetime(2022, 5, 2, 15, 59), datetime(2022, 5, 2, 16), datetime(2022, 5, 3, 4),
             datetime(2022, 5, 4, 15, 59, 59), datetime(2022, 5, 4, 16)]
    expected = ["train", "valid", "test", "test", None]
    assert parts(split, "_time", times, zone="Asia/Shanghai") == expected


def test_an_end_that_is_open_as_people_write_it() -> None:
    split = TimeSplit(valid="2022-05-03 00:00", test="2022-05-03 12:00", end="9999-12-31")
    times = [datetime(2022, 5, 3, 3), datetime(9999, 12, 31, 23, 59)]
    assert parts(split, "_time", times, zone="America/New_York") == ["train", "test"]


def test_by_time_with_an_offset() -> None:
    split = TimeSplit(valid="2022-05-03T00:00:00+08:00", test="2022-05-03T01:00:00+08:00")
    times = [datetime(2022, 5, 2, 15, 59), datetime(2022, 5, 2, 16), datetime(2022, 5, 2, 17)]
    assert parts(split, "_time", times) == ["train", "valid", "test"]


SOURCES = ["/a/train-1.parquet", "/a/train-2.parquet", "/b/held/test.parquet", "/b/old_test.parquet"]


def test_by_files_matches_the_end_of_a_path() -> None:
    split = FilesSplit.model_validate(
        {"files": {"train": "train-1.parquet", "valid": "a/*-2.parquet", "test": "test.parquet"}}
    )
    assert parts(split, "_file", [0, 1, 2, 3], sources=SOURCES) == ["train", "valid", "test", None]


def test_many_files_are_told_apart_without_a_join() -> None:
    """Joined rows come in any order, and shards of one log would differ from run to run."""
    split = FilesSplit.model_validate({"files": {"train": "t-*", "test": "v-*", "valid_fraction": 0.1}})
    sources = [f"/{name}-{number}" for name in "tv" for number in range(50)]
    sql = part_of(split, sources)
    query = f"SELECT _file, {sql} FROM (SELECT n AS _file, n AS _row FROM range(100) AS r(n))"
    (_, plan), = duckdb.connect().execute(f"EXPLAIN {query}").fetchall()
    assert "JOIN" not in plan.upper()
    found = dict(duckdb.connect().execute(query).fetchall())
    assert {found[file] for file in range(50)} == {"train", "valid"}
    assert {found[file] for file in range(50, 100)} == {"test"}


def test_valid_is_cut_from_train_by_hash() -> None:
    split = FilesSplit.model_validate(
        {"files": {"train": "train-*.parquet", "test": "test.parquet", "valid_fraction": 0.1}}
    )
    sql = part_of(split, SOURCES)
    counts = duckdb.connect().execute(
        f"SELECT part, count(*) FROM (SELECT {sql} AS part FROM "
        "(SELECT f AS _file, r AS _row FROM range(3) AS a(f), range(5000) AS b(r))) "
        "GROUP BY part ORDER BY part"
    ).fetchall()
    found = dict(counts)
    assert found["test"] == 5000
    assert found["train"] + found["valid"] == 10000
    assert abs(found["valid"] - 1000) < 4 * (10000 * 0.1 * 0.9) ** 0.5


def test_files_that_match_nothing_or_twice_are_refused() -> None:
    nothing = FilesSplit.model_validate({"files": {"train": "no", "test": "test.parquet",
                                                   "valid_fraction": 0.1}})
    with pytest.raises(RecmtlError, match=r"no file of the log matches 'no'"):
        part_of(nothing, SOURCES)
    twice = FilesSplit.model_validate({"files": {"train": "*", "test": "test.parquet",
                                                 "valid_fraction": 0.1}})
    with pytest.raises(RecmtlError, match="falls in train and in test"):
        part_of(twice, SOURCES)


def by_hand(*values: object) -> str:
    """The part by Python's own MD5: 20 % test, 10 % valid."""
    joined = "|".join("-" if v is None else f"={v}" for v in values)
    share = int(hashlib.md5(joined.encode()).hexdigest()[:12], 16) / 16**12
    return "test" if share < 0.2 else "valid" if share < 0.3 else "train"


def test_hash_agrees_with_pythons_md5() -> None:
    split = HashSplit(hash=("user", "item"), valid=0.1, test=0.2)
    pairs = [(u, i) for u in (1, 2, 3, None) for i in ("a", "b|=c", None, "-", "")] * 2
    db = duckdb.connect()
    db.execute('CREATE TABLE t (n INTEGER, "user" BIGINT, item VARCHAR)')
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(n, *p) for n, p in enumerate(pairs)])
    found = db.execute(f"SELECT {part_of(split)} FROM t ORDER BY n").fetchall()
    assert [part for (part,) in found] == [by_hand(*pair) for pair in pairs]


def test_hash_fractions() -> None:
    split = HashSplit(hash=("user",), valid=0.1, test=0.2)
    found = parts(split, "user", list(range(20000)))
    assert abs(found.count("test") - 4000) < 4 * (20000 * 0.2 * 0.8) ** 0.5
    assert abs(found.count("valid") - 2000) < 4 * (20000 * 0.1 * 0.9) ** 0.5
