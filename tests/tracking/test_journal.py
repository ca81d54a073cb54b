"""What a pipeline's steps leave in MLflow, and what they leave when it is away."""

from pathlib import Path

import pytest

from recmtl.errors import RecmtlError
from recmtl.experiment import Experiment
from recmtl.run import Run
from recmtl.tracking.client import Tracker, replay
from recmtl.tracking.journal import listening, promote_run
from recmtl.tracking.registry import fetch
from recmtl.tracking.store import connect


def test_a_server_that_is_down_makes_no_trained_run_a_failed_one(
    finished: Path, tmp_path: Path, store: str, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished / "out/models/mmoe/seed-1"
    run = Run(Experiment.read(finished / "shop.toml"), "mmoe", 1, folder)
    with listening(Tracker.open("shop", tmp_path / "spool"), run, "data"):
        pass
    with monkeypatch.context() as away, pytest.raises(RecmtlError, match="MLflow"):
        away.setenv("MLFLOW_TRACKING_URI", nobody)
        promote_run(Tracker.open("shop", tmp_path / "spool"), run, "data")
    assert replay(tmp_path / "spool")[1] == 0
    client = connect(store)
    experiment = client.get_experiment_by_name("shop")
    assert experiment is not None
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.status == "FINISHED"
    assert "model.svg" in {a.path for a in client.list_artifacts(found.info.run_id)}
    version = promote_run(Tracker.open("shop", tmp_path / "spool"), run, "data")
    assert fetch("models:/shop@champion")[1] == version.text
