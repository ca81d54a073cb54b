"""What is known of the public logs is found in them."""

from pathlib import Path

import pytest

from recmtl import pipeline
from recmtl.data import contract
from recmtl.errors import RecmtlError
from recmtl.experiment import Experiment
from tests.data.contract.made_days import found

CONFIGS = Path(__file__).parents[3] / "configs"


def test_kuairand(logs: Path, tmp_path: Path) -> None:
    pipeline.ingest(CONFIGS / "kuairand.toml", tmp_path)
    made = contract.read_report(tmp_path / "contract")
    assert made["levels"]["error"] == 0
    assert found(made, "duplicates")[0] == (
        "warning", "4,390 rows (2.56 %) equal to another row in every column; 10 days in all",
    )
    assert found(made, "funnel", "long_view")[0][0] == "note"
    assert found(made, "funnel", "long_view")[0][1].startswith("169 of 53,544 (0.316 %) have click = 0")
    assert found(made, "funnel", "is_like")[0][0] == "warning"
    assert found(made, "funnel", "is_like")[0][1].startswith("528 of 2,996 (17.6 %) have click = 0")
    assert (tmp_path / "contract" / "index.html").read_text().startswith("<!doctype html>")


def test_kuairand_with_the_time_played_as_a_feature(logs: Path, tmp_path: Path) -> None:
    text = (CONFIGS / "kuairand.toml").read_text()
    assert '"play_time_ms", ' in text
    text = text.replace('"play_time_ms", ', "").replace(
        "[features]", '[features]\nplay_time_ms = { kind = "numeric" }'
    )
    (tmp_path / "leak.toml").write_text(text)
    with pytest.raises(RecmtlError, match=r"leakage of play_time_ms: AUC 0\.994 .* for converted"):
        pipeline.ingest(tmp_path / "leak.toml", tmp_path)
    with pytest.raises(RecmtlError, match="leakage of play_time_ms"):
        pipeline.encode(tmp_path / "leak.toml", tmp_path)


def test_census_income_goes_on(logs: Path, tmp_path: Path) -> None:
    experiment = Experiment.read(CONFIGS / "census_income.toml")
    pipeline.ingest(experiment, tmp_path)
    made = contract.read_report(tmp_path / "contract")
    assert made["levels"]["error"] == 0
    ((level, text),) = found(made, "leakage")
    assert level == "warning" and text.startswith("AUC 0.97") and "never_married" in text
