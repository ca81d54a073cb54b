"""Rows of one user or request: side by side in the shards, in one batch, and shuffled as one."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recmtl.data import loader as loading
from recmtl.data import sharding
from recmtl.data.encoder import Encoder
from recmtl.data.loader import Loader
from recmtl.data.sharding import write_shards
from recmtl.data.shards import Shards, shards_key
from recmtl.data.storage import blocks, rowfiles
from recmtl.data.storage import shuffle as shuffling
from recmtl.data.storage.together import runs_of
from recmtl.errors import RecmtlError

N, TRAIN, REQUESTS = 2400, 2000, 300
RANDOM = np.random.default_rng(5)
REQUEST = RANDOM.integers(0, REQUESTS, N) ** 2 * 2**33  # ids that 32 bits do not tell apart
UNKNOWN = RANDOM.random(N) < 0.02
FEATURES = {"item": {"kind": "categorical"}, "seen": {"kind": "bag", "share": "item"}}


def log(**columns: Any) -> pa.Table:
    return pa.table({
        "day": ["2024-01-01"] * TRAIN + ["2024-01-03"] * 200 + ["2024-01-04"] * 200,
        "item": np.arange(N) % 7, "seen": [[i % 7] * (i % 3) for i in range(N)],
        "click": np.arange(N) % 2, "request": pa.array(REQUEST, mask=UNKNOWN),
        "word": pa.array([f"r{r}" for r in REQUEST], mask=UNKNOWN),
    } | columns)


Made = tuple[Any, Any, Encoder]


@pytest.fixture(scope="module")
def made(ingested_once: Callable[..., Any]) -> Made:
    problem, examples = ingested_once(log(), FEATURES, data={"together": "request"})
    return problem, examples, Encoder.fit(problem, examples, 4)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several buckets, pieces and blocks."""
    monkeypatch.setattr(shuffling, "BUCKET_BYTES", 20_000)
    monkeypatch.setattr(rowfiles, "PIECE_ROWS", 70)
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 90)
    monkeypatch.setattr(loading, "BLOCK_ROWS", 64)
    monkeypatch.setattr(loading, "WINDOW_BLOCKS", 3)


def written(made: Made, folder: Path, seed: int = 1) -> Shards:
    write_shards(*made, folder, seed)
    return Shards.open(folder / "train")


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def requests_in_order(shards: Shards) -> list[tuple[int, ...]]:
    """The rows of each run."""
    assert shards.together is not None
    rows = shards.origin[:, 1].tolist()
    return [tuple(rows[a:b]) for a, b in pairwise(runs_of(shards.together).tolist())]


@pytest.mark.parametrize("column", ["request", "word"])
@pytest.mark.usefixtures("small")
def test_rows_of_a_request_lie_side_by_side(
    ingested: Callable[..., Any], tmp_path: Path, column: str
) -> None:
    problem, examples = ingested(log(), FEATURES, data={"together": column})
    encoder = Encoder.fit(problem, examples, 4)
    found = requests_in_order(written((problem, examples, encoder), tmp_path / "shards"))
    expected: dict[object, set[int]] = {}
    for row in range(TRAIN):  # a null is alone
        expected.setdefault(("alone", row) if UNKNOWN[row] else REQUEST[row], set()).add(row)
    assert sorted(map(sorted, found)) == sorted(map(sorted, expected.values()))
    assert any(len(run) > 5 and list(run) != sorted(run) for run in found)


@pytest.mark.usefixtures("small")
def test_requests_are_permuted_by_seed(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = (requests_in_order(written(made, tmp_path / str(s), s)) for s in (1, 2))
    again = files(written(made, tmp_path / "again").folder)
    monkeypatch.setattr(sharding, "held_bytes", lambda limit: 0)
    assert files(written(made, tmp_path / "through disk").folder) == again
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 700)  # an engine cuts rows as it likes
    bucketed = requests_in_order(written(made, tmp_path / "other blocks"))
    assert sorted(map(sorted, bucketed)) == sorted(map(sorted, first)) == sorted(map(sorted, other))
    assert first != other
    # neighbours are a third of all apart on average in a random order
    for found in (first, other):
        order = np.argsort([min(run) for run in found]).argsort()
        assert abs(np.abs(np.diff(order)).mean() / (len(order) / 3) - 1) < 0.2


@pytest.mark.usefixtures("small")
def test_what_lies_in_a_row_moves_with_it(made: Made, tmp_path: Path) -> None:
    shards = written(made, tmp_path / "shards")
    places = shards.origin[:, 1]
    expected = made[2].encode(log().take(places))
    np.testing.assert_array_equal(shards.rows, expected.rows)
    for got, want in zip(shards.content.lists["seen"], expected.lists["seen"], strict=True):
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(shards.labels("click"), places % 2)


def test_valid_has_the_numbers_in_its_own_order(made: Made, tmp_path: Path) -> None:
    written(made, tmp_path / "shards")
    valid = Shards.open(tmp_path / "shards" / "valid")
    assert valid.together is not None and valid.origin[:, 1].tolist() == [*range(TRAIN, TRAIN + 200)]
    known = ~UNKNOWN[TRAIN : TRAIN + 200]
    numbers, values = valid.together[known], REQUEST[TRAIN : TRAIN + 200][known]
    assert ((numbers[:, None] == numbers) == (values[:, None] == values)).all()
    assert "request" not in valid.keys().column_names


def test_without_the_key_there_is_no_such_matrix_and_the_shards_are_others(
    made: Made, ingested: Callable[..., Any], tmp_path: Path
) -> None:
    problem, examples = ingested(log(), FEATURES)
    plain = written((problem, examples, Encoder.fit(problem, examples, 4)), tmp_path / "plain")
    assert plain.together is None and not (plain.folder / "together.bin").exists()
    assert next(Loader(plain, 64, seed=1).batches()).together is None
    assert "together" not in problem.model_dump(mode="json")["data"]
    named = problem.model_copy(update={"data": problem.data.model_copy(update={"together": "request"})})
    keys = {shards_key(each, "examples", "encoder", 1) for each in (problem, named)}
    assert len(keys) == 2


def test_a_column_that_is_not_there_is_refused(ingested: Callable[..., Any]) -> None:
    with pytest.raises(RecmtlError, match=r"data\.together[\s\S]*did you mean 'request'"):
        ingested(log(), FEATURES, data={"together": "reqest"})


def batches(loader: Loader, epoch: int = 0, skip: int = 0) -> list[tuple[list[int], list[int]]]:
    """Rows and numbers, a batch."""
    found = loader.batches(epoch, skip)
    return [(b.origin[:, 1].tolist(), b.together.tolist()) for b in found if b.together is not None]


@pytest.mark.parametrize("size", [50, 333])
@pytest.mark.usefixtures("small")
def test_a_request_is_cut_by_the_end_of_a_batch_alone(made: Made, tmp_path: Path, size: int) -> None:
    loader = Loader(written(made, tmp_path / "shards"), size, seed=3)
    found = batches(loader)
    sizes = [len(rows) for rows, _ in found]
    assert set(sizes[:-1]) == {size} and 0 < sizes[-1] <= size
    assert sorted(row for rows, _ in found for row in rows) == list(range(TRAIN))
    whole = [number for _, numbers in found for number in numbers]
    assert len(runs_of(np.array(whole))) - 1 == len(set(whole))  # side by side, batch after batch
    second = batches(loader, epoch=1)
    assert second != found and batches(loader, 1, skip=2) == second[2:]
    assert batches(Loader(Shards.open(tmp_path / "shards" / "train"), size, seed=3), 1) == second
    assert batches(Loader(Shards.open(tmp_path / "shards" / "train"), size, seed=4), 1) != second


@pytest.mark.usefixtures("small")
def test_requests_are_shuffled_within_windows_only(made: Made, tmp_path: Path) -> None:
    train = written(made, tmp_path / "shards")
    place = {row: i for i, row in enumerate(train.origin[:, 1].tolist())}
    rows = [row for rows, _ in batches(Loader(train, 50, seed=2)) for row in rows]
    begin = [place[row] // 64 for row in rows[: 2 * 64]]
    assert 3 <= len(set(begin)) <= 6  # three blocks, and the runs that reach beyond them
    assert len(set(begin[:64])) >= 3


@pytest.mark.usefixtures("small")
def test_of_some_rows_alone_those_of_a_request_come_together(made: Made, tmp_path: Path) -> None:
    train = written(made, tmp_path / "shards")
    places = np.sort(np.random.default_rng(4).choice(TRAIN, 900, replace=False))
    found = batches(Loader(train, 50, seed=3).only(places))
    assert sorted(row for rows, _ in found for row in rows) == sorted(train.origin[places, 1].tolist())
    whole = [number for _, numbers in found for number in numbers]
    assert len(runs_of(np.array(whole))) - 1 == len(set(whole)) < 900


@pytest.mark.usefixtures("small")
def test_processes_share_the_batches_of_one(made: Made, tmp_path: Path) -> None:
    train = written(made, tmp_path / "shards")
    parts = [batches(Loader(train, 60, seed=3, part=(i, 2))) for i in (0, 1)]
    both = [(a[0] + b[0], a[1] + b[1]) for a, b in zip(*parts, strict=True)]
    assert both == batches(Loader(train, 120, seed=3))


@pytest.mark.usefixtures("small")
def test_rows_on_a_device_have_the_same_numbers(made: Made, tmp_path: Path) -> None:
    ways = [Loader(written(made, tmp_path / "shards"), 96, seed=5) for _ in range(2)]
    ways[0].resident = True
    assert batches(ways[0]) == batches(ways[1])


@pytest.mark.usefixtures("small")
def test_one_request_longer_than_blocks_and_batches(
    ingested: Callable[..., Any], tmp_path: Path
) -> None:
    long = np.where(np.arange(N) < 1500, 7, np.arange(N))
    problem, examples = ingested(log(request=long), FEATURES, data={"together": "request"})
    shards = written((problem, examples, Encoder.fit(problem, examples, 4)), tmp_path / "shards")
    found = batches(Loader(shards, 100, seed=1))
    assert sorted(row for rows, _ in found for row in rows) == list(range(TRAIN))
    assert max(map(len, requests_in_order(shards))) == 1500
