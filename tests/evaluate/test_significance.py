"""The bootstrap against scikit-learn's weighted AUC, DeLong's variance and its own coverage."""

import time

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import log_loss, roc_auc_score

from recmtl.errors import RecmtlError
from recmtl.evaluate.significance import paired_bootstrap
from recmtl.heads.measures import weighted_logloss
from recmtl.seed import numpy_generator


def log(rows: int, seed: int = 0, lift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    label = (random.random(rows) < 0.2).astype(np.float32)
    return label, (random.normal(size=rows) + lift * label).astype(np.float32)


def drawn_weights(group: np.ndarray, replicates: int) -> np.ndarray:
    """The same draws by plain means: how often each row's group was drawn, (R, N)."""
    random, groups = numpy_generator(5, "bootstrap"), len(np.unique(group))
    draws = [random.integers(0, groups, size=groups) for _ in range(replicates)]
    return np.array([[(draw == g).sum() for g in group] for draw in draws])


def test_every_draw_equals_sklearns_weighted_auc_with_ties() -> None:
    label, score = log(120)
    scores = {"fine": score, "coarse": score.round()}
    group = np.arange(120) % 37
    found = paired_bootstrap(label, scores, group, replicates=20, seed=5)
    for i, weight in enumerate(drawn_weights(group, 20)):
        for model, values in scores.items():
            expected = roc_auc_score(label, values, sample_weight=weight)
            assert found.draws[model][i] == pytest.approx(expected, abs=1e-12)
    assert found.value["coarse"] == pytest.approx(roc_auc_score(label, score.round()), abs=1e-12)


def test_every_draw_equals_sklearns_weighted_logloss() -> None:
    label, score = log(120)
    probability = 1 / (1 + np.exp(-score))
    group = np.array([f"user {i % 37:02}" for i in range(120)])
    found = paired_bootstrap(
        label, {"a": probability}, group, measure=weighted_logloss, replicates=5, seed=5
    )
    for i, weight in enumerate(drawn_weights(np.arange(120) % 37, 5)):
        expected = log_loss(label, probability.astype(np.float64), sample_weight=weight)
        assert found.draws["a"][i] == pytest.approx(expected, rel=1e-6)


def delong_se(label: np.ndarray, score: np.ndarray) -> float:
    pairs = score[label > 0][:, None] - score[label == 0][None, :]
    won = (pairs > 0) + 0.5 * (pairs == 0)
    variance = won.mean(axis=1).var(ddof=1) / len(won) + won.mean(axis=0).var(ddof=1) / won.shape[1]
    return float(np.sqrt(variance))


def test_standard_error_agrees_with_delong() -> None:
    label, score = log(2000)
    found = paired_bootstrap(label, {"a": score}, replicates=400).estimate("a")
    assert found.se == pytest.approx(delong_se(label, score), rel=0.12)
    assert found.low < found.value < found.high


def test_rows_of_a_group_move_together() -> None:
    label, score = log(1000)
    many = [np.repeat(x, 4) for x in (label, score, np.arange(1000))]
    alone = paired_bootstrap(many[0], {"a": many[1]}, replicates=200).estimate("a")
    together = paired_bootstrap(many[0], {"a": many[1]}, many[2], replicates=200).estimate("a")
    assert together.se == pytest.approx(2 * alone.se, rel=0.25)


def test_rows_without_a_group_stand_alone() -> None:
    label, score = log(500)
    group = np.array([f"user {i}" if i % 2 else None for i in range(500)], dtype=object)
    mixed = paired_bootstrap(label, {"a": score}, group, replicates=300).estimate("a")
    alone = paired_bootstrap(label, {"a": score}, replicates=300).estimate("a")
    assert mixed.se == pytest.approx(alone.se, rel=0.2)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = float(stats.norm.cdf(1 / np.sqrt(2)))
    inside = 0
    for seed in range(100):
        label, score = log(300, seed)
        found = paired_bootstrap(label, {"a": score}, replicates=150).estimate("a")
        inside += found.low <= truth <= found.high
    assert inside >= 88  # 95 expected, standard deviation 2.2


def test_a_difference_is_paired() -> None:
    label, score = log(2000)
    better = score + 0.05 * label
    found = paired_bootstrap(label, {"a": score, "b": better}, replicates=200)
    assert found.difference("b", "a").low > 0
    assert found.difference("b", "a").se < found.estimate("a").se / 3
    assert found.difference("a", "a").high == 0


def test_draws_without_a_positive_are_left_out() -> None:
    label = np.zeros(50)
    label[0] = 1
    found = paired_bootstrap(label, {"a": np.linspace(1, 0, 50)}, replicates=100)
    assert np.isnan(found.draws["a"]).any()
    assert found.estimate("a").low == 1.0


def test_one_class_is_refused() -> None:
    with pytest.raises(RecmtlError, match="both classes"):
        paired_bootstrap(np.ones(3), {"a": np.ones(3)})


def test_six_models_on_20k_rows_take_seconds() -> None:
    label, score = log(20_000)
    began = time.perf_counter()
    paired_bootstrap(label, {str(i): score for i in range(6)}, np.arange(20_000) % 3000)
    assert time.perf_counter() - began < 8
