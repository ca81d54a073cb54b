"""The study of eight heads on a small log: one label a row, drawn as planted, and a line a way."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.studies import eight_heads
from benchmarks.studies.eight_heads import Log, means, named, study, tables, weights
from benchmarks.studies.heads_world import QUESTIONS, World, write_log


def test_a_row_has_the_label_of_one_question_drawn_as_planted(tmp_path: Path) -> None:
    log = pq.read_table(write_log(tmp_path / "log", 60_000, 3)).to_pandas()
    assert (log[[*QUESTIONS]].notna().sum(axis=1) == 1).all()
    for name, question in QUESTIONS.items():
        asked = log[log[name].notna()]
        assert len(asked) / len(log) == pytest.approx(question.share, abs=4e-3)
        p = World.make(3).probabilities(name, asked["user"].to_numpy(), asked["item"].to_numpy())
        assert p.shape == (len(asked), question.classes)
        assert p.sum(axis=1) == pytest.approx(1.0, abs=1e-12)
        drawn = np.eye(question.classes)[asked[name].to_numpy().astype(int)]
        spread = np.sqrt((p * (1 - p)).sum(axis=0)) / len(asked)
        assert (np.abs((drawn - p).mean(axis=0)) < 4.5 * spread).all()
        surprise = -((drawn - p) * np.log(p)).sum(axis=1)  # log loss less entropy: 0 in the mean
        assert abs(surprise.mean()) < 4.5 * surprise.std() / len(asked) ** 0.5


def test_weights_are_powers_of_the_shares_and_of_mean_1() -> None:
    assert weights(0.0) == dict.fromkeys(QUESTIONS, 1.0)
    rows = weights(1.0)
    assert rows["a"] == pytest.approx(0.40 * 8, abs=1e-12)
    assert weights(-0.5)["h"] / weights(-0.5)["a"] == pytest.approx(20**0.5, abs=1e-12)


def test_means_are_over_heads_or_over_rows() -> None:
    each = {"rows": 10.0, "logloss": 0.5, "accuracy": 0.5}
    metrics = {f"{measure}_test/{name}": value for measure, value in each.items() for name in QUESTIONS}
    metrics |= {"rows_test/a": 30.0, "logloss_test/a": 1.3, "accuracy_test/a": 0.9}
    found = means(metrics, "test")
    assert found["logloss of heads"] == pytest.approx(0.6, abs=1e-12)
    assert found["logloss of rows"] == pytest.approx(0.5 + 0.8 * 30 / 100, abs=1e-12)
    assert found["accuracy of rows"] == pytest.approx(0.5 + 0.4 * 30 / 100, abs=1e-12)


def test_rows_of_one_label_do_not_conflict_at_what_was_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the gradients of two heads have no row in common: PCGrad is their sum."""
    monkeypatch.setattr(eight_heads, "EPOCHS", 1)
    features = {"weighting": {"kind": "pcgrad", "on": "features"}}
    monkeypatch.setattr(eight_heads, "WAYS", {"fixed": {}, "pcgrad": features})
    log = Log.make(tmp_path / "out", 6_000, 1, "test")
    fixed, pcgrad = (log.run(named(way, 0.5))["heads"] for way in ("fixed", "pcgrad"))
    assert pcgrad == pytest.approx(fixed, abs=1e-5)


def test_the_study_runs_to_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eight_heads, "EPOCHS", 1)
    monkeypatch.setattr(eight_heads, "POWERS", (0.0, 1.0))
    monkeypatch.setattr(eight_heads, "WAYS", {way: eight_heads.WAYS[way] for way in ("fixed", "famo")})
    found = study(tmp_path / "out", 6_000, 2, lambda said: None)
    for aim in eight_heads.AIMS:
        assert [*found.lines[aim]] == ["fixed", "famo", "fixed, p = 0", "famo, p = 0", "alone", "truth"]
        losses = {way: found.values(aim, way, "logloss") for way in found.lines[aim]}
        assert all((losses["truth"] < own).all() for way, own in losses.items() if way != "truth")
        assert found.less(aim, "fixed", "fixed").value == 0.0
    assert tables(found).count("\n| famo | ") == 4
