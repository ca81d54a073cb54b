"""A bundle through MLflow's registry and back, scoring the same."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recmtl.errors import RecmtlError
from recmtl.scoring.score import Scorer
from recmtl.tracking import Tracker, Version, fetch, log_model, promote, register
from recmtl.tracking.store import connect, pointing_at
from tests.tracking.tiny import rows_of, untrained_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def run_id(store: str, tmp_path: Path) -> str:
    run = Tracker.open("tiny", tmp_path / "spool").start("esmm", "k", {}, {})
    assert run.run_id is not None
    return run.run_id


def test_the_champion_leads_back_to_the_bundle(run_id: str, bundle: Path) -> None:
    uri = log_model(run_id, bundle, "esmm")
    version = register(uri, "tiny", {"recmtl.model": "esmm"})
    promote(version)
    assert version == Version("tiny", "1")
    for model in ("models:/tiny@champion", "models:/tiny/1"):
        folder, text = fetch(model)
        assert text == "tiny/1"
        assert (folder / "weights.safetensors").read_bytes() == (
            bundle / "weights.safetensors"
        ).read_bytes()
    assert log_model(run_id, bundle, "esmm") == uri
    assert register(uri, "tiny") == version


def test_the_model_lies_in_the_experiment_of_its_run(
    store: str, run_id: str, bundle: Path, tmp_path: Path
) -> None:
    client = connect(store)
    logged = client.get_logged_model(log_model(run_id, bundle, "esmm").removeprefix("models:/"))
    assert logged.experiment_id == client.get_run(run_id).info.experiment_id != "0"
    assert not (tmp_path / "mlruns").exists()


def test_the_pyfunc_scores_a_frame_as_the_bundle_does_and_unpickles_nothing(
    store: str, run_id: str, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = log_model(run_id, bundle, "esmm")
    import mlflow.pyfunc

    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("a model was unpickled")

    with pointing_at(store), monkeypatch.context() as patch:
        for name in ("load", "loads", "Unpickler"):
            patch.setattr(pickle, name, refuse)
        path = list(sys.path)
        model = mlflow.pyfunc.load_model(uri)
        sys.path[:] = path
    frame = pd.read_parquet(bundle.parent / "log.parquet")
    scores = model.predict(frame[list(Scorer.load(bundle).columns)])
    expected = Scorer.load(bundle).score(rows_of(bundle.parent))
    assert list(scores.columns) == ["ctr", "cvr", "ctcvr"]
    for task, values in expected.items():
        np.testing.assert_allclose(scores[task], values, atol=1e-6)
    kinds = {c.name: str(c.type) for c in model.metadata.signature.inputs}
    assert kinds["user"] == "DataType.long"
    assert kinds["recent"] == "Array(long)"
    assert {c.name for c in model.metadata.signature.outputs} == {"ctr", "cvr", "ctcvr"}


def test_the_model_names_its_requirements(store: str, run_id: str, bundle: Path) -> None:
    uri = log_model(run_id, bundle, "esmm")
    folder = Path(connect(store).get_logged_model(uri[8:]).artifact_location.removeprefix("file://"))
    names = {line.partition("==")[0] for line in (folder / "requirements.txt").read_text().split()}
    assert {"torch", "safetensors", "pyarrow", "duckdb"} <= names
    assert (folder / "code" / "recmtl" / "bundle.py").exists()
    assert not list(folder.rglob("*.pkl"))


@pytest.mark.parametrize("model", ["models:/tiny@champion", "models:/tiny/7", "models:/tiny"])
def test_an_unknown_model_is_named(store: str, model: str) -> None:
    with pytest.raises(RecmtlError, match=model):
        fetch(model)


def test_a_folder_is_its_own_model(bundle: Path, tmp_path: Path) -> None:
    folder, text = fetch(str(bundle))
    assert folder == bundle
    assert text.startswith("bundle@")
    with pytest.raises(RecmtlError, match="no finished folder"):
        fetch(str(tmp_path))


def test_without_a_server_fetching_says_so(
    nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", nobody)
    with pytest.raises(RecmtlError, match="MLFLOW_TRACKING_URI"):
        fetch("models:/tiny@champion")
