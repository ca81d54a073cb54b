"""Reliability bins and their error by hand."""

import numpy as np
import pytest

from recmtl.evaluate.calibration import calibration_error, reliability


def test_two_bins_by_hand() -> None:
    score = np.array([0.9, 0.1, 0.7, 0.3])
    label = np.array([1.0, 0.0, 1.0, 1.0])
    low, high = reliability(label, score, bins=2)
    assert (low.rows, low.score, low.rate) == (2, pytest.approx(0.2), 0.5)
    assert (high.rows, high.score, high.rate) == (2, pytest.approx(0.8), 1.0)
    assert calibration_error([low, high]) == pytest.approx((2 * 0.3 + 2 * 0.2) / 4)


def test_bins_hold_about_equally_many_rows_and_all_of_them() -> None:
    score = np.random.default_rng(1).beta(1, 50, 10_003)
    bins = reliability(np.zeros(10_003), score, bins=10)
    assert sum(b.rows for b in bins) == 10_003
    assert {b.rows for b in bins} <= {1000, 1001}
    assert [b.score for b in bins] == sorted(b.score for b in bins)


def test_equal_scores_share_a_bin_whatever_the_order() -> None:
    label = np.array([1.0, 1, 0, 0, 0, 0])
    (only,) = reliability(label, np.full(6, 0.5))
    assert (only.rows, only.rate) == (6, pytest.approx(1 / 3))


def test_true_probabilities_are_calibrated() -> None:
    random = np.random.default_rng(2)
    score = random.random(100_000)
    label = (random.random(100_000) < score).astype(float)
    assert calibration_error(reliability(label, score)) < 0.01
    assert calibration_error(reliability(label, score**2)) > 0.1


def test_no_rows_no_bins() -> None:
    assert reliability(np.array([]), np.array([])) == []
    assert calibration_error([]) == 0.0
