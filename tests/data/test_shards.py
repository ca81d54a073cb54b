"""Shards: every row once, encoded as the encoder does, permuted on train, and refused when unusable."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recmtl.data import sharding
from recmtl.data.encoder import Encoder
from recmtl.data.sharding import write_shards
from recmtl.data.shards import Shards
from recmtl.data.storage import blocks, rowfiles
from recmtl.data.storage import shuffle as shuffling
from recmtl.data.storage.rare import SHARE
from recmtl.data.storage.rowfiles import Appender, Rows, describe, open_rows, take_lists
from recmtl.data.storage.shuffle import shuffle
from recmtl.errors import RecmtlError
from recmtl.schema import Task

N = 600
FEATURES = {
    "item": {"kind": "categorical"}, "seen": {"kind": "history", "share": "item"},
    "x": {"kind": "numeric", "transform": "none"},
}
DAY = np.repeat(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"], N // 4)
SECTIONS: dict[str, Any] = {
    "labels": {"click": "click", "bought": "bought", "spent": "spent"},
    "tasks": {"ctr": {"label": "click"}, "cvr": {"label": "bought", "given": "click"},
              "ctcvr": {"label": "bought", "product": ["ctr", "cvr"]},
              "value": {"label": "spent", "type": "regression"}},
}


def log(**columns: Any) -> pa.Table:
    rng = np.random.default_rng(3)
    click = rng.integers(0, 2, N)
    lists = [rng.integers(0, 9, n).tolist() for n in rng.integers(0, 5, N)]
    made = {
        "day": DAY, "user": [f"u{i % 50}" for i in range(N)], "item": rng.integers(0, 9, N),
        "seen": lists, "x": np.arange(N) / 8, "click": click,
        "bought": pa.array(click * rng.integers(0, 2, N), mask=np.arange(N) % 10 == 0),
        "spent": pa.array(np.arange(N) / 4, mask=np.arange(N) % 3 == 0), "w": np.arange(N) / 100,
    }
    return pa.table(made | columns)


@pytest.fixture
def made(ingested: Callable[..., Any]) -> tuple[Any, ...]:
    problem, examples = ingested(
        log(), FEATURES, **SECTIONS, data={"keys": ["user", "item"], "group": "user", "weight": "w"},
    )
    return problem, examples, Encoder.fit(problem, examples, 8)


def contents(shards: Shards) -> list[tuple[Any, ...]]:
    values, offsets = shards.content.lists["seen"]
    return [
        (tuple(origin), tuple(rows), tuple(dense), tuple(values[a:b].tolist()), repr(labels), weight)
        for origin, rows, dense, a, b, labels, weight in zip(
            shards.origin.tolist(), shards.rows.tolist(), shards.dense.tolist(), offsets[:-1],
            offsets[1:], shards.content.matrices["labels"].tolist(), shards.weight.tolist(),
            strict=True,
        )
    ]


def test_valid_and_test_keep_the_order_and_the_keys(made: tuple[Any, ...], tmp_path: Path) -> None:
    manifest = write_shards(*made, tmp_path / "shards", 1)
    shards, table = Shards.open(tmp_path / "shards" / "valid"), log().slice(N // 2, N // 4)
    direct = made[2].encode(table)
    np.testing.assert_array_equal(shards.rows, direct.rows)
    np.testing.assert_array_equal(shards.dense, direct.dense)
    for got, expected in zip(shards.content.lists["seen"], direct.lists["seen"], strict=True):
        np.testing.assert_array_equal(got, expected)
    assert shards.origin.tolist() == [[0, i] for i in range(N // 2, N // 2 + N // 4)]
    np.testing.assert_array_equal(shards.weight, table["w"].to_numpy().astype(np.float32))
    for label in ("click", "bought", "spent"):
        expected = table[label].to_numpy().astype(np.float32)
        np.testing.assert_array_equal(shards.labels(label), expected)
    keys = shards.keys()
    assert keys.column_names == ["user", "item", "_file", "_row"]
    assert keys["user"].to_pylist() == table["user"].to_pylist()
    assert keys["_row"].to_pylist() == shards.origin[:, 1].tolist()
    nulls = table["bought"].null_count
    positives = sum(filter(None, table["bought"].to_pylist()))
    assert manifest["parts"]["valid"]["rows"] == N // 4
    assert manifest["parts"]["valid"]["labels"]["bought"] == {"positives": positives, "nulls": nulls}


def test_train_is_a_permutation_by_seed(
    made: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shuffling, "BUCKET_BYTES", 4096)
    monkeypatch.setattr(rowfiles, "PIECE_ROWS", 70)
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 90)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_shards(*made, tmp_path / name, seed)
    monkeypatch.setattr(sharding, "held_bytes", lambda limit: 0)
    write_shards(*made, tmp_path / "d", 1)
    a, b, c, through_disk = (contents(Shards.open(tmp_path / name / "train")) for name in "abcd")
    assert a == b == through_disk != c
    assert sorted(a) == sorted(c)
    origins = [row[0][1] for row in a]
    assert sorted(origins) == list(range(N // 2))
    # neighbours are N/6 apart on average in a random order of N/2
    assert abs(np.abs(np.diff(origins)).mean() / (N / 6) - 1) < 0.2
    expected = made[2].encode(log().slice(0, N // 2))
    shards = Shards.open(tmp_path / "a" / "train")
    places = shards.origin[:, 1]
    np.testing.assert_array_equal(shards.rows, expected.rows[places])
    np.testing.assert_array_equal(shards.dense, expected.dense[places])
    for got, want in zip(
        shards.content.lists["seen"], take_lists(*expected.lists["seen"], places), strict=True
    ):
        np.testing.assert_array_equal(got, want)
    assert {path.name for path in (tmp_path / "d").iterdir()} == {
        "train", "valid", "test", "manifest.json",
    }
    with pytest.raises(RecmtlError, match="this part keeps no keys"):
        shards.keys()


def test_current_shards_are_left_alone(made: tuple[Any, ...], tmp_path: Path) -> None:
    first = write_shards(*made, tmp_path / "shards", 1)
    before = (tmp_path / "shards" / "manifest.json").stat().st_mtime_ns
    assert write_shards(*made, tmp_path / "shards", 1) == first
    assert (tmp_path / "shards" / "manifest.json").stat().st_mtime_ns == before
    assert write_shards(*made, tmp_path / "shards", 2)["key"] != first["key"]


def test_rare_ids_read_the_unknown_row_now_and_then(
    ingested: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 20_000  # each of 5,000 ids three times on train, beside one frequent id
    item = np.concatenate([np.repeat(np.arange(1, 5001), 3), np.zeros(4998, dtype=int), [1, 2]])
    table = pa.table({
        "day": ["2024-01-01"] * (count - 2) + ["2024-01-03", "2024-01-04"], "item": item,
        "bag": [[i] for i in item], "click": np.arange(count) % 2,
    })
    problem, examples = ingested(
        table, {"item": {"kind": "categorical"}, "bag": {"kind": "bag"}}
    )
    encoder = Encoder.fit(problem, examples, 8)
    write_shards(problem, examples, encoder, tmp_path / "shards", 1)
    shards = Shards.open(tmp_path / "shards" / "train")
    slot, bag = encoder.layout.slots[0], encoder.layout.lists[0]
    frequent = item[shards.origin[:, 1]] == 0
    values, offsets = shards.content.lists["bag"]
    np.testing.assert_array_equal(offsets, np.arange(len(shards) + 1))
    for rows in (shards.rows[:, 0] - slot.first, values - bag.first):
        hidden = rows == 2
        assert not hidden[frequent].any()
        deviation = np.sqrt(SHARE * (1 - SHARE) / 15_000)
        assert abs(hidden[~frequent].mean() - SHARE) < 4 * deviation
    assert not (Shards.open(tmp_path / "shards" / "valid").rows == slot.first + 2).any()
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 700)  # an engine cuts rows as it likes
    write_shards(problem, examples, encoder, tmp_path / "other", 1)
    for file in (tmp_path / "shards" / "train").iterdir():
        assert file.read_bytes() == (tmp_path / "other" / "train" / file.name).read_bytes(), file.name


@pytest.mark.parametrize(("columns", "sections", "message"), [
    ({}, {"data": {"split": {"valid": "2024-01-03", "test": "2024-02-01"}}},
     r"split = .*2024-02-01.*: the test part has no rows[\s\S]*2024-01-04 \(150 rows\)"),
    ({"click": np.where(np.arange(N) < N // 2, 0, 1), "bought": np.zeros(N, dtype=int)}, {},
     r"\[tasks\] ctr: the label 'click' is never 1 on train[\s\S]*300 rows[\s\S]*2024-01-03"),
    ({"bought": np.zeros(N, dtype=int)}, {},
     r"\[tasks\] cvr: the label 'bought' is never 1 on train where 'click' is 1"),
])
def test_unusable_parts_are_refused_before_anything_is_written(
    ingested: Callable[..., Any], tmp_path: Path, columns: Any, sections: Any, message: str
) -> None:
    problem, examples = ingested(log(**columns), FEATURES, **(SECTIONS | sections))
    encoder = Encoder.fit(problem, examples, 8)
    with pytest.raises(RecmtlError, match=message):
        write_shards(problem, examples, encoder, tmp_path / "shards", 1)
    assert not (tmp_path / "shards").exists()


def test_a_broken_product_is_refused_with_a_row(ingested: Callable[..., Any], tmp_path: Path) -> None:
    click = np.arange(N) % 2
    bought = np.where((click == 1) | np.isin(np.arange(N), [40, 90]), 1, 0)
    problem, examples = ingested(log(click=click, bought=bought), FEATURES, **SECTIONS)
    encoder = Encoder.fit(problem, examples, 8)
    with pytest.raises(
        RecmtlError, match=r"\[tasks\] ctcvr: 'bought' is 1 in 2 rows where 'click' is 0[\s\S]*row 40 of"
    ):
        write_shards(problem, examples, encoder, tmp_path / "shards", 1)


@pytest.mark.parametrize(
    ("task", "words"),
    [({"type": "ordinal", "classes": 3}, "'grade' is 3[\\s\\S]*from 0 to 2[\\s\\S]*row 43 of"),
     ({"type": "multiclass", "classes": 2}, "'grade' is 2[\\s\\S]*0, 1 or null[\\s\\S]*row 42 of"),
     ({"type": "binary"}, "'grade' is 2"), ({"type": "watch_time"}, "'grade' is -1[\\s\\S]*0 or more")],
    ids=lambda case: case.get("type", "") if isinstance(case, dict) else "",
)
def test_a_label_that_its_task_does_not_take_is_refused_with_a_row(
    ingested: Callable[..., Any], tmp_path: Path, task: dict[str, Any], words: str
) -> None:
    """As one made of events may be, which ingest takes as it is made."""
    click, grade = np.arange(N) % 2, np.zeros(N)
    grade[42:44] = [2, 3]
    grade[60] = -1.0
    sections = {**SECTIONS, "labels": {"click": "click", "grade": "grade"}}
    sections["tasks"] = {"own": {"label": "grade", "type": "regression"}}
    problem, examples = ingested(log(click=click, grade=grade), FEATURES, **sections)
    own = Task.model_validate({"label": "grade", **task})
    other = problem.model_copy(update={"tasks": {"own": own}})
    encoder = Encoder.fit(problem, examples, 8)
    with pytest.raises(RecmtlError, match=rf"\[tasks\] own: the label {words}"):
        write_shards(other, examples, encoder, tmp_path / "shards", 1)
    assert not (tmp_path / "shards").exists()


def test_a_cut_file_is_an_error(made: tuple[Any, ...], tmp_path: Path) -> None:
    write_shards(*made, tmp_path / "shards", 1)
    file = tmp_path / "shards" / "valid" / "rows.bin"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(RecmtlError, match=r"valid: unreadable shards"):
        Shards.open(tmp_path / "shards" / "valid")
    with pytest.raises(RecmtlError, match=r"no finished folder here"):
        Shards.open(tmp_path / "nowhere" / "valid")


@pytest.mark.parametrize("held", [0, 1 << 20], ids=["in buckets on disk", "in memory"])
def test_rows_without_columns_or_values_keep_their_number(
    tmp_path: Path, held: int
) -> None:
    rows = Rows(
        {"rows": np.empty((3, 0), np.int32), "weight": np.ones((3, 1), np.float32)},
        {"a/b": (np.empty(0, np.int32), np.zeros(4, np.int64))},
    )
    out = Appender(tmp_path / "out")
    types = shuffle(iter([(rows, np.arange(3))]), out, np.random.default_rng(0), 3, held)
    assert types == describe(rows)
    back = open_rows(tmp_path / "out", 3, types)
    assert back.matrices["rows"].shape == (3, 0)
    assert back.lists["a/b"][1].tolist() == [0, 0, 0, 0]


def test_the_reader_s_thread_ends_with_a_write_that_fails(
    made: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Appender, "append", full)
    with pytest.raises(RecmtlError, match="No space") as kept:
        write_shards(*made, tmp_path / "shards", 1)
    assert kept.value.__traceback__ is not None  # holds the generators that were running
    assert not [thread for thread in threading.enumerate() if thread.name == "recmtl-prefetch"]
    assert not (tmp_path / "shards").exists()


def test_keys_that_lie_as_codes_on_one_day_and_as_words_on_another(
    ingested: Callable[..., Any], tmp_path: Path
) -> None:
    """The engine writes few words as a dictionary; the keys of a part are one file."""
    users = [f"u{n % 3}" if n < 3 * N // 4 else f"one of its own, {n}" for n in range(N)]
    split = {"start": "2024-01-01", "valid": "2024-01-02", "test": "2024-01-03"}
    data = {"keys": ["user"], "split": split}
    problem, examples = ingested(log(user=users), FEATURES, **SECTIONS, data=data)
    write_shards(problem, examples, Encoder.fit(problem, examples, 8), tmp_path / "shards", 1)
    assert Shards.open(tmp_path / "shards" / "test").keys()["user"].to_pylist() == users[N // 2 :]
