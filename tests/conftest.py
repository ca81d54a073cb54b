"""What every test may use: the folder of public logs, and a quiet environment without networks."""

import os
from pathlib import Path

import pytest

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
