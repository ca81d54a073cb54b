"""One Prefect server for all flow tests, in a temporary home."""

import os
from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_HOME, temporary_settings
from prefect.testing.utilities import prefect_test_harness


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    home = tmp_path_factory.mktemp("prefect")
    with (
        temporary_settings({PREFECT_HOME: home}),
        prefect_test_harness(server_startup_timeout=120),
    ):
        yield


@pytest.fixture
def workplace(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory of its own, so that MLflow's store is made there."""
    for name in [n for n in os.environ if n.startswith("MLFLOW_") and "TELEMETRY" not in n]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("workplace"))
