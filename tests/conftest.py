"""What every test may use: the folder of public logs, and a quiet environment without networks."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine fails no test
settings.load_profile("untimed")

os.environ |= {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of public logs, named by RECMTL_DATA or lying beside the checkout."""
    default = Path(__file__).parent.parent.parent / "shared" / "data"
    folder = Path(os.environ.get("RECMTL_DATA", default)).absolute()
    if not folder.is_dir():
        pytest.skip("needs the public logs: set RECMTL_DATA to their folder")
    monkeypatch.setenv("RECMTL_DATA", str(folder))
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished pipeline run on a tiny shop; read only.

    The folder has shop.toml, log/, users.parquet, and out/ with examples, encoder, shards,
    models/{esmm,mmoe}/seed-1 and evaluation.
    """
    from recmtl import pipeline
    from tests import tiny_shop

    folder = tmp_path_factory.mktemp("finished")
    config, options = tiny_shop.write(folder), pipeline.Options(device="cpu", track=False)
    for step in (pipeline.ingest, pipeline.encode, pipeline.train):
        step(config, folder / "out", options)
    pipeline.evaluate(config, folder / "out", options)
    return folder
