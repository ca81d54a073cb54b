"""Vocabularies: rows by frequency, exact look-up of every 64-bit id, and hashed buckets."""

from collections import Counter
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recmtl.data import native
from recmtl.data.encoding.hashing import Buckets
from recmtl.data.vocabulary import NULL, RESERVED, UNKNOWN, Vocabulary
from recmtl.errors import RecmtlError

IDS = st.integers(min_value=-(2**63), max_value=2**63 - 1)


def vocabulary(values: list[object], counts: list[int], **options: object) -> Vocabulary:
    table = pa.table({
        "value": pa.array(values), "count": pa.array(counts, pa.int64()),
        "first_day": pa.nulls(len(values), pa.date32()),
        "last_day": pa.nulls(len(values), pa.date32()),
    })
    return Vocabulary.from_counts(table, **({"min_count": 1, "max_size": None} | options))


def rows_of(made: Vocabulary, values: pa.Array) -> list[int]:
    """By pandas; where C++ is compiled it gives the same, in either width, of a slice, and no more."""
    rows = made.rows(values)
    joined = pa.concat_arrays([made.table["value"].combine_chunks()[:3], values])
    for array in (values, joined.slice(len(joined) - len(values))) if native.compiled() else ():
        for kind in (np.int32, np.int64):
            out = np.full((len(values), 3), -9, dtype=kind)
            first = RESERVED + 40
            native.look_up([native.Read(made.index, array, first, NULL + 40, 1)], out)
            np.testing.assert_array_equal(out[:, 1], rows + 40)
            assert (out[:, [0, 2]] == -9).all()
    return rows.tolist()


def test_rows_start_after_the_reserved_ones_and_follow_the_counts() -> None:
    made = vocabulary([70, 10, 40], [9, 5, 1])
    assert made.table["row"].to_pylist() == [3, 4, 5]
    assert made.size == 6
    assert rows_of(made, pa.array([40, 70, None, 11, 10])) == [5, 3, NULL, UNKNOWN, 4]


def test_rare_and_surplus_values_are_kept_without_a_row() -> None:
    rare = vocabulary(["a", "b", "c"], [9, 5, 1], min_count=2)
    assert rare.table.to_pydict()["row"] == [3, 4, None]
    assert rare.table["count"].to_pylist() == [9, 5, 1]
    assert rows_of(rare, pa.array(["c", "b"])) == [UNKNOWN, 4]
    surplus = vocabulary(["a", "b", "c"], [9, 5, 1], max_size=1)
    assert surplus.table["row"].to_pylist() == [3, None, None]
    assert surplus.size == 4


def test_rare_rows_are_those_seen_at_most_so_often() -> None:
    made = vocabulary([1, 2, 3, 4], [8, 4, 3, 1])
    assert made.rare(3).tolist() == [False, False, False, False, False, True, True]


@pytest.mark.parametrize("kind", [pa.int64(), pa.string()])
def test_an_empty_vocabulary_knows_nothing(kind: pa.DataType) -> None:
    made = vocabulary(pa.array([], kind), [])
    assert made.size == 3
    word = 5 if kind == pa.int64() else "x"
    assert rows_of(made, pa.array([word, None], kind)) == [UNKNOWN, NULL]
    assert rows_of(made, pa.array([None, None], kind)) == [NULL, NULL]
    assert rows_of(made, pa.array([], kind)) == []


@given(st.lists(IDS, unique=True, max_size=60), st.lists(IDS, max_size=60))
def test_every_64_bit_id_is_told_from_every_other(known: list[int], asked: list[int]) -> None:
    near = [i ^ 1 for i in known] + [2**63 - 1, -(2**63), 2**53 + 1, 2**53, 0, -1]
    queries = known + asked + near
    made = vocabulary(pa.array(known, pa.int64()), [1] * len(known))
    expected = {value: row + 3 for row, value in enumerate(known)}
    found = rows_of(made, pa.array(queries, pa.int64()))
    assert found == [expected.get(query, UNKNOWN) for query in queries]


@given(st.lists(st.text(), unique=True, max_size=30), st.lists(st.none() | st.text(), max_size=30))
def test_strings_are_looked_up_as_they_are(known: list[str], asked: list[str | None]) -> None:
    made = vocabulary(pa.array(known, pa.string()), [1] * len(known))
    expected = {value: row + 3 for row, value in enumerate(known)} | {None: NULL}
    queries = [*asked, *known]
    found = rows_of(made, pa.array(queries, pa.string()))
    assert found == [expected.get(query, UNKNOWN) for query in queries]


@given(st.lists(st.integers(min_value=0, max_value=30), max_size=60))
def test_ids_and_words_that_are_alike_are_told_apart(asked: list[int]) -> None:
    """Multiples of powers of two; words that differ in one byte, wherever it is, or in length."""
    ids = [sign * 2**power for power in range(0, 62, 4) for sign in (1, -1)][:31]
    words = ["a" * n + "b" + "a" * (19 - n) for n in range(20)] + ["a" * n for n in range(11)]
    for known, kind in ((ids, pa.int64()), (words, pa.string())):
        made = vocabulary(pa.array(known[::2], kind), [1] * len(known[::2]))
        rows = {value: place + 3 for place, value in enumerate(known[::2])}
        found = rows_of(made, pa.array([known[n] for n in asked], kind))
        assert found == [rows.get(known[n], UNKNOWN) for n in asked]


def test_many_ids_are_found_each() -> None:
    ids = np.random.default_rng(0).permutation(200_000) * 2**40 - 2**60
    made = vocabulary(pa.array(ids), [1] * len(ids))
    assert rows_of(made, pa.array(ids)) == list(range(3, len(ids) + 3))
    assert set(rows_of(made, pa.array(ids + 1))) == {UNKNOWN}
    words = pa.array(ids).cast(pa.string())
    assert rows_of(vocabulary(words, [1] * len(ids)), words) == list(range(3, len(ids) + 3))


def test_rows_out_of_order_are_no_vocabulary(tmp_path: Path) -> None:
    table = vocabulary([1, 2], [9, 5]).table
    pq.write_table(table.take([1, 0]), tmp_path / "v.parquet")
    with pytest.raises(RecmtlError, match="not in the order of their rows"):
        Vocabulary.read(tmp_path / "v.parquet")


def test_the_table_survives_its_file(tmp_path: Path) -> None:
    made = vocabulary([2**63 - 1, -4], [2, 1], min_count=2)
    made.write(tmp_path / "v.parquet")
    assert Vocabulary.read(tmp_path / "v.parquet").table.equals(made.table)
    (tmp_path / "v.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(RecmtlError, match=r"v\.parquet: unreadable vocabulary"):
        Vocabulary.read(tmp_path / "v.parquet")


def test_buckets_hash_by_definition() -> None:
    words = ["a", "ü", ""]
    expected = [
        3 + int.from_bytes(blake2b(w.encode(), digest_size=8).digest(), "big") % 10 for w in words
    ]
    assert Buckets(10).rows(pa.array([*words, None])).tolist() == [*expected, NULL]
    # the first outputs of SplitMix64 with seed 0 are its finaliser at 0, γ, 2γ …, γ = 0x9E37…
    first = 0xE220A8397B1DCDAF
    assert Buckets(1000).rows(pa.array([0])).tolist() == [3 + first % 1000]


def test_buckets_are_filled_evenly() -> None:
    found = Counter(Buckets(8).rows(pa.array(np.arange(80_000) * 4096)).tolist())
    assert set(found) == set(range(3, 11))
    assert all(abs(n - 10_000) < 5 * np.sqrt(10_000) for n in found.values())


def test_one_that_was_read_is_copied_without_its_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary([2**63 - 1, -4], [2, 1], min_count=2).write(tmp_path / "v.parquet")
    read = Vocabulary.read(tmp_path / "v.parquet")
    monkeypatch.setattr(Vocabulary, "table", property(lambda self: pytest.fail("it comes into memory")))
    read.write(tmp_path / "copy.parquet")
    assert (tmp_path / "copy.parquet").read_bytes() == (tmp_path / "v.parquet").read_bytes()
