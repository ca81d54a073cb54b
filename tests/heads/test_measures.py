"""Concordance: against the mean over all pairs, and the AUC; the AUC within groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from recmtl.heads.measures import concordance, grouped_auc

few = st.integers(0, 4)


def by_pairs(label: list[int], score: list[int]) -> float | None:
    found = [
        1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0
        for i in range(len(label)) for j in range(len(label)) if label[i] > label[j]
    ]
    return float(np.mean(found)) if found else None


@given(st.lists(st.tuples(few, few), min_size=1, max_size=40))
def test_it_is_the_mean_over_pairs(rows: list[tuple[int, int]]) -> None:
    label, score = zip(*rows, strict=True)
    expected = by_pairs(list(label), list(score))
    found = concordance(np.array(label, dtype=np.float32), np.array(score, dtype=np.float32))
    assert found == (expected if expected is None else pytest.approx(expected, abs=1e-12))


def test_of_two_labels_it_is_the_auc() -> None:
    random = np.random.default_rng(0)
    label, score = random.integers(0, 2, 2000), random.integers(0, 50, 2000)
    assert concordance(label, score) == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def test_it_is_the_mean_over_all_pairs_of_many_rows() -> None:
    random = np.random.default_rng(1)
    label = random.normal(size=1500).round(2)
    score = label + random.normal(size=1500).round(1)
    above = label[:, None] > label
    right = (np.sign(score[:, None] - score) + 1) / 2
    assert concordance(label, score) == pytest.approx(right[above].mean(), abs=1e-12)


def test_orders_that_are_known() -> None:
    label = np.arange(1000.0)
    assert concordance(label, label) == 1.0 and concordance(label, -label) == 0.0
    assert concordance(label, np.zeros(1000)) == 0.5 and concordance(np.ones(9), label[:9]) is None
    assert concordance(np.zeros(0), np.zeros(0)) is None


@given(st.lists(st.tuples(few, st.integers(0, 1), few), min_size=1, max_size=40))
def test_the_auc_within_groups_is_that_of_each_by_its_rows(rows: list[tuple[int, int, int]]) -> None:
    group, label, score = (np.array(column) for column in zip(*rows, strict=True))
    both = [g for g in np.unique(group) if len(set(label[group == g])) == 2]
    found = grouped_auc(label.astype(np.float32), score.astype(np.float32), group)
    if not both:
        assert found is None
        return
    each = [roc_auc_score(label[group == g], score[group == g]) for g in both]
    counts = [np.count_nonzero(group == g) for g in both]
    assert found == pytest.approx(np.average(each, weights=counts), abs=1e-12)
