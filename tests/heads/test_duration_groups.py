"""Groups by duration, F and F⁻¹: against ranks and quantiles of each group's rows, in numpy and scipy."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from recmtl.batch import Batch
from recmtl.errors import RecmtlError
from recmtl.heads import duration_groups
from recmtl.heads.duration_groups import KNOTS, DurationGroups
from recmtl.suite.made_up import LAYOUT, make_batch

EACH = KNOTS  # rows of a group: its knots are then its rows


def batch_of(duration: np.ndarray, missing: np.ndarray | None = None) -> Batch:
    """Rows with these durations, in the two columns of `age`."""
    batch = make_batch(len(duration))
    dense = batch.dense.double()
    dense[:, 0] = torch.from_numpy(np.asarray(duration, dtype=np.float64))
    dense[:, 1] = torch.from_numpy(np.zeros(len(duration)) if missing is None else missing)
    return replace(batch, dense=dense)


def read(batch: Batch) -> np.ndarray:
    found: np.ndarray = batch.dense[:, LAYOUT.numbers("age")].numpy()
    return found


def learned(batch: Batch, times: np.ndarray, groups: int) -> DurationGroups:
    made = DurationGroups(LAYOUT.numbers("age"), groups).double()
    made.learn([(times, read(batch))])
    return made


def three_groups(seed: int = 0) -> tuple[Batch, np.ndarray, np.ndarray]:
    """EACH rows of three groups in any order, their watch times, many of them equal, and their groups."""
    random = np.random.default_rng(seed)
    duration = random.permutation(np.linspace(1.0, 90.0, 3 * EACH))
    watched = duration * random.random(3 * EACH)
    watched = np.where(random.random(3 * EACH) < 0.2, 0.0, np.where(watched > 25, 25.0, watched))
    return batch_of(duration), watched, (rankdata(duration).astype(int) - 1) // EACH


def test_rows_are_cut_into_groups_of_equal_size() -> None:
    duration = np.random.default_rng(1).permutation(np.arange(100.0))
    batch = batch_of(duration)
    made = learned(batch, np.zeros(100), 4)
    np.testing.assert_array_equal(made(batch).group, duration // 25)
    np.testing.assert_allclose(made.edges, [24.75, 49.5, 74.25])
    beyond = batch_of(np.array([-1e9, 1e9]))
    assert made(beyond).group.tolist() == [0, 3]


def test_equal_durations_are_of_one_group_and_no_duration_is_one_of_its_own() -> None:
    duration = np.array([1.0, 7.0, 7.0, 7.0, 7.0, 7.0, 9.0, 0.0, 0.0])
    missing = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1], dtype=np.float64)
    batch, times = batch_of(duration, missing), np.array([1.0, 2, 3, 4, 5, 6, 7, 50, 70])
    made = learned(batch, times, 3)
    assert made(batch).group.tolist() == [0, 2, 2, 2, 2, 2, 2, 3, 3]
    ends = made.knots[:, [0, -1]].tolist()
    assert ends == [[1.0, 1.0], [1.0, 70.0], [2.0, 7.0], [50.0, 70.0]]  # the second has no row


def test_without_any_duration_all_rows_are_of_the_last_group() -> None:
    batch, times = batch_of(np.zeros(50), np.ones(50)), np.arange(50.0)
    made = learned(batch, times, 3)
    assert set(made(batch).group.tolist()) == {3}
    half = torch.full((50,), 0.5, dtype=torch.float64)
    np.testing.assert_allclose(made(batch).time(half), 24.5)
    np.testing.assert_allclose(made(batch_of(np.arange(50.0))).time(half), 24.5)


def test_f_is_the_mid_rank_in_the_row_s_group() -> None:
    batch, watched, group = three_groups()
    expected = np.empty(len(watched))
    for number in range(3):
        own = group == number
        expected[own] = (rankdata(watched[own], method="average") - 1) / (EACH - 1)
    found = learned(batch, watched, 3)(batch).quantile(torch.from_numpy(watched))
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert len(np.unique(expected)) < 0.9 * len(expected)  # there are ties


def test_its_inverse_is_the_quantile_of_the_group() -> None:
    batch, watched, group = three_groups()
    q = np.random.default_rng(2).random(len(watched))
    q[:2] = 0.0, 1.0
    found = learned(batch, watched, 3)(batch).time(torch.from_numpy(q))
    expected = [np.quantile(watched[group == number], at) for number, at in zip(group, q, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_inverse_of_f_gives_every_time_back(dtype: torch.dtype) -> None:
    batch, watched, _ = three_groups()
    times = learned(batch, watched, 3).to(dtype)(batch)
    given = torch.from_numpy(watched).to(dtype)
    given[:500] += 0.01 * torch.rand(500, dtype=dtype)  # not only times of train
    given = torch.minimum(given, times.knots[times.group, -1])
    slack = 1e-4 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(times.time(times.quantile(given)), given, rtol=0.0, atol=slack)


def test_times_beyond_a_group_s_own_are_at_its_ends_and_nan_stays_nan() -> None:
    batch = batch_of(np.arange(20.0))
    times = learned(batch, np.linspace(5.0, 24.0, 20), 2)(batch)
    assert set(times.quantile(torch.full((20,), 4.9)).tolist()) == {0.0}
    assert set(times.quantile(torch.full((20,), 24.1)).tolist()) == {1.0}
    assert times.time(torch.full((20,), torch.nan)).isnan().all()


def test_of_more_rows_than_knots_both_are_near() -> None:
    random = np.random.default_rng(4)
    watched = random.lognormal(2.0, 1.0, 40_000)
    batch = batch_of(random.random(40_000))
    times = learned(batch, watched, 2)(batch)
    found = times.quantile(torch.from_numpy(watched))
    for number in (0, 1):
        own = times.group.numpy() == number
        exact = (rankdata(watched[own]) - 1) / (own.sum() - 1)
        assert np.abs(found.numpy()[own] - exact).max() < 1 / (KNOTS - 1)


def test_it_learns_from_blocks_and_reads_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, watched, _ = three_groups()
    rows, taken = read(batch), []

    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(watched), 700):
            taken.append(start)
            yield watched[start : start + 700], rows[start : start + 700]

    made = DurationGroups(LAYOUT.numbers("age"), 3).double()
    made.learn(blocks())
    assert torch.equal(made.knots, learned(batch, watched, 3).knots)
    monkeypatch.setattr(duration_groups, "MOST", 1500)
    taken.clear()
    made.learn(blocks())
    assert taken == [0, 700, 1400]
    first = DurationGroups(LAYOUT.numbers("age"), 3).double()
    first.learn([(watched[:1500], rows[:1500])])
    assert torch.equal(made.knots, first.knots) and torch.equal(made.edges, first.edges)


def test_the_columns_are_those_of_the_feature() -> None:
    assert LAYOUT.numbers("age") == slice(0, 2) and LAYOUT.numbers("picture") == slice(2, 5)
    with pytest.raises(RecmtlError, match=r"(?s)no feature 'agee' of numbers.*'age'"):
        LAYOUT.numbers("agee")
