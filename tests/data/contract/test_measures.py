"""Distances between distributions, values that were there, samples and large logs."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recmtl.data.contract import log
from recmtl.data.contract.distribution import Bins, stability
from recmtl.data.contract.known import SHARE, Seen, Values, values_of_day
from recmtl.data.contract.sample import BLOCK, Rows, flat
from tests.data.contract.made_days import DAYS, Columns, found, report


def test_bins_of_numbers_end_at_deciles() -> None:
    bins = Bins.of(pa.array(np.arange(1, 101.0)), number=True)
    assert bins.edges == pytest.approx([10.9, 20.8, 30.7, 40.6, 50.5, 60.4, 70.3, 80.2, 90.1])
    assert bins.count(pa.array([0.0, 10.9, 11.0, 1000.0])) == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert Bins.of(pa.array([0.0] * 95 + [1.0] * 5), number=True).edges == (0.0,)
    assert Bins.from_json(bins.to_json()) == bins


def test_bins_of_ids_are_the_most_frequent_values() -> None:
    values = pa.array(["a"] * 5 + ["c"] * 2 + ["b"] * 2 + [str(n) for n in range(30)])
    bins = Bins.of(values, number=False)
    assert bins.values is not None and bins.values[:4] == ("a", "b", "c", "0") and len(bins.values) == 20
    assert bins.count(pa.array(["a", "c", "zzz", "yyy"])) == [1, 0, 1, *[0] * 17, 2]
    assert Bins.of(pa.array([], pa.int64()), number=False).count(pa.array([1, 2])) == [2]


def test_stability_by_hand() -> None:
    index, chance = stability([50, 50], [80, 20])
    p, q = np.array([80.5, 20.5]) / 101, np.array([50.5, 50.5]) / 101
    assert index == pytest.approx(((p - q) * np.log(p / q)).sum())
    assert chance == pytest.approx((1 / 100 + 1 / 100) * (1 + 5 * 2**0.5))
    assert stability([10, 90], [10, 90])[0] == 0.0


def test_chance_is_rarely_larger_than_it_may_be() -> None:
    draw = np.random.default_rng(5)
    pairs = draw.multinomial(500, [0.1] * 10, size=(400, 2))
    assert sum(index > chance for index, chance in (stability(a, b) for a, b in pairs)) == 0


def values(share: int, *hashes: int) -> Values:
    return Values(share, np.array(hashes, np.uint64), np.full(len(hashes), 10))


def test_unseen_values_by_rows() -> None:
    seen = Seen()
    assert seen.add("user", values(1, 1, 2, 16), "2024-01-01") is None
    assert seen.add("user", values(1, 1, 3, 32, 16), "2024-01-02") == 0.5
    assert seen.add("user", values(16, 16, 32, 48, 64), "2024-01-03") == 0.5
    assert seen.columns["user"].share == 16
    assert sorted(seen.columns["user"].hashes) == [16, 32, 48, 64]
    assert seen.add("user", values(1, 5, 16), "2024-01-04") == 0.0  # 5 is none of one in 16


def test_what_was_seen_until_a_day_can_be_read_again(tmp_path: Path) -> None:
    seen = Seen()
    for day, hashes in (("2024-01-01", (1, 2**64 - 1)), ("2024-01-02", (2,)), ("2024-01-03", (3,))):
        seen.add("user", values(1, *hashes), day)
        seen.add("item", values(1, 7), day)
    seen.save(tmp_path / "values.parquet")
    again = Seen.load(tmp_path / "values.parquet", "2024-01-02")
    assert sorted(again.columns["user"].hashes) == [1, 2, 2**64 - 1]
    assert again.add("user", values(1, 3, 2), "2024-01-03") == 0.5
    assert again.add("item", values(1, 7), "2024-01-03") == 0.0


def test_one_in_so_many_values_with_all_of_their_rows(tmp_path: Path) -> None:
    users = np.arange(20000) % 8000
    pq.write_table(pa.table({"user": users}), tmp_path / "day.parquet")
    there = values_of_day(duckdb.connect(), "user", [str(tmp_path / "day.parquet")])
    assert (there.hashes % SHARE == 0).all()
    assert there.distinct == pytest.approx(8000, rel=0.2)
    assert set(there.rows) == {2, 3}


def test_samples_are_spread_and_the_same(tmp_path: Path) -> None:
    file = str(tmp_path / "day.parquet")
    pq.write_table(pa.table({"n": np.arange(100_000)}), file, row_group_size=10_000)
    rows = Rows.spread([file], 100_000, blocks=4)
    first = rows.read(duckdb.connect(), ["n"])[0]["n"].to_numpy()
    assert len(first) == 4 * BLOCK
    assert list(first[::BLOCK]) == [0, 25_000, 50_000, 75_000]
    assert (rows.read(duckdb.connect(), ["n"])[0]["n"].to_numpy() == first).all()
    assert Rows.spread([file], 2 * 4 * BLOCK, blocks=4).all


def test_elements_of_lists_know_their_rows() -> None:
    column = pa.chunked_array([[[1, 2], None, []], [[3, None], [4]]])
    elements, rows = flat(column)
    assert elements.to_pylist() == [1, 2, 3, 4]
    assert rows.tolist() == [0, 0, 3, 4]


@pytest.mark.duckdb(reason="counts what is found in the files that DuckDB makes")
def test_a_large_log_is_searched_by_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "LARGE", 1000)

    def twice(days: dict[str, Columns]) -> None:
        day = days[DAYS[1]]
        for name, column in day.items():
            more = column[:1600]
            day[name] = [*column, *more] if isinstance(column, list) else np.append(column, more)

    ((level, text),) = found(report(tmp_path, twice), "duplicates")
    assert level == "warning" and "(estimated)" in text
    assert int(text.split()[0].replace(",", "")) == pytest.approx(1600, rel=0.25)
