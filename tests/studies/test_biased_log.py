"""The planted bias is of the size that it claims; scores are measured against the planted truth."""

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.studies import biased_log
from benchmarks.studies.biased_log import divergence, expected_auc, study, tables
from recmtl.data.synthetic import generate
from recmtl.data.synthetic_oracle import auc

STRENGTHS = (0.0, 1.0)


def planted(tmp_path: Path, bias: float | None) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    folder = tmp_path / f"bias-{bias}"
    generate(folder, 40_000, seed=5, bias=bias)
    truth = pl.concat(pl.read_parquet(file) for file in sorted((folder / "truth").glob("*.parquet")))
    planted = [truth[c].to_numpy() for c in ("p_click", "p_conversion_given_click")]
    logits = [np.log(p / (1 - p)) for p in planted]
    return *logits, json.loads((folder / "truth.json").read_text())


@pytest.mark.parametrize("bias", [0.0, 0.5, 2.0])
def test_the_conversion_s_logit_rises_with_the_click_s_by_the_bias(tmp_path: Path, bias: float) -> None:
    click, conversion, truth = planted(tmp_path, bias)
    slope = np.polyfit(click / click.std(), conversion, 1)[0]
    assert slope == pytest.approx(bias, abs=0.05)  # the world's own sample of 50,000 rows is another
    assert truth["rates"]["ctr"] == pytest.approx(0.35, abs=0.02)
    assert truth["rates"]["cvr"] == pytest.approx(0.33, abs=0.03)


def test_clicks_select_converters_by_the_bias_alone(tmp_path: Path) -> None:
    ratios = []
    for bias in (0.0, 0.5, 1.0, 2.0):
        means = planted(tmp_path, bias)[2]["mean_p_conversion_given_click"]
        ratios.append(means["clicked_rows"] / means["all_rows"])
    assert ratios[0] == pytest.approx(1.0, abs=0.05)
    assert ratios == sorted(ratios)
    assert ratios[-1] > 1.5


def test_divergence_and_expected_auc_by_hand() -> None:
    truth, score = np.array([0.5, 0.2]), np.array([0.25, 0.2])
    expected = (0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75)) / 2
    assert divergence(truth, score) == pytest.approx(expected, abs=1e-12)
    # Pairs (positive, negative) by weight p·(1 − p'), of a row with itself ½: score .25 above .2.
    wins = 0.5 * 0.8 + (0.5 * 0.5 + 0.2 * 0.8) / 2
    assert expected_auc(truth, score) == pytest.approx(wins / (0.7 * 1.3), abs=1e-12)


def test_expected_auc_is_that_of_labels_drawn_from_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(50_000)
    score = truth + rng.normal(0, 0.5, len(truth))
    drawn = rng.random(len(truth)) < truth
    assert expected_auc(truth, score) == pytest.approx(auc(drawn, score), abs=0.01)


def test_the_study_runs_to_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECMTL_SYNTHETIC", "")
    monkeypatch.setattr(biased_log, "BIASES", STRENGTHS[1:])
    monkeypatch.setattr(biased_log, "MODELS", ("independent", "esmm"))
    monkeypatch.setattr(biased_log, "BASE", {"esmm": "independent"})
    found = study(tmp_path, 6000, 2, lambda line: None)
    measured = found[1.0]
    assert set(measured) == {"truth", "independent", "esmm"}
    for model in ("independent", "esmm"):
        assert all(value > 0 for value in measured[model]["KL all"])
        for ours, best in zip(measured[model]["AUC all"], measured["truth"]["AUC all"], strict=True):
            assert 0.5 < ours < best
    assert measured["truth"]["KL all"] == pytest.approx([0, 0], abs=1e-9)
    assert "| 1 | esmm − independent | " in tables(found)
