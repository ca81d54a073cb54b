"""Intervals over seeds."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.studies.results import bootstrap, student, table, told


def test_student_s_interval_is_scipy_s() -> None:
    values = np.array([1.0, 2.0, 4.0, 5.0])
    found = student(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.value, found.low, found.high) == pytest.approx((3.0, low, high), rel=1e-6)


def test_a_bootstrap_is_paired_by_seed() -> None:
    first = np.random.default_rng(0).normal(size=50)
    drawn = bootstrap({"a": first, "b": first + 0.25})
    assert drawn.difference("b", "a").low == pytest.approx(0.25)
    assert drawn.difference("b", "a").high == pytest.approx(0.25)
    own = drawn.estimate("a")
    assert own.se == pytest.approx(first.std() / 50**0.5, rel=0.05)
    assert own.low < own.value < own.high


def test_tables_are_markdown() -> None:
    found = student(np.array([1.0, 2.0, 3.0]))
    assert table(["a", "b"], [[1, told(found, 1)]]) == "| a | b |\n|---|---|\n| 1 | 2.0 (-0.5 to 4.5) |"
    assert told(found, 0, signed=True) == "+2 (-0 to +4)"
