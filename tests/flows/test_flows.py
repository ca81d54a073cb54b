"""The flows on a tiny problem: the real pipeline, a real Prefect server, a real MLflow store."""

from pathlib import Path

import polars as pl
import pytest
from prefect.client.orchestration import get_client

from flows import steps
from flows.nightly import nightly
from recmtl.errors import RecmtlError
from recmtl.tracking import fetch
from tests.tracking.tiny import write_problem


def test_a_step_is_the_pipelines_own(tmp_path: Path) -> None:
    config = str(write_problem(tmp_path))
    examples = steps.ingest.fn(config, tmp_path / "out")
    assert (examples / "manifest.json").exists()
    assert (steps.encode.fn(config, tmp_path / "out") / "manifest.json").exists()


def test_a_step_passes_on_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(RecmtlError, match=r"absent\.toml"):
        steps.ingest.fn(str(tmp_path / "absent.toml"), tmp_path / "out")


@pytest.mark.usefixtures("prefect_server", "workplace")
def test_the_night_ends_with_scores_of_the_champion_and_shows_what_it_found(tmp_path: Path) -> None:
    out = tmp_path / "out"
    state = nightly(str(write_problem(tmp_path)), str(out), "cpu", return_state=True)
    assert state.is_completed(), state.message
    scores = pl.read_parquet(out / "scores" / "**" / "*.parquet")
    assert len(scores) == 400
    assert {"user", "ctr", "cvr", "ctcvr", "model_version"} <= set(scores.columns)
    folder, version = fetch("models:/tiny@champion")
    assert set(scores["model_version"]) == {version}
    assert (folder / "weights.safetensors").exists()
    with get_client(sync_client=True) as client:
        found = {artifact.key: artifact for artifact in client.read_artifacts()}
    assert {"per-task", "summary", "mlflow-run", "champion"} <= set(found)
    assert "/runs/" in str(found["mlflow-run"].data)
    for model in ("esmm", "mmoe"):
        assert model in str(found["per-task"].data)
