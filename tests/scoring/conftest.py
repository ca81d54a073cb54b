"""Scores as the evaluation has them, and a trained bundle whose configuration can be changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

MODEL = Path("out/models/mmoe/seed-1")
Changed = Callable[[str, str], Path]


@pytest.fixture
def bundle(finished: Path) -> Path:
    return finished / MODEL / "bundle"


@pytest.fixture
def evaluated(finished: Path) -> pd.DataFrame:
    """What the evaluation scored on valid, in the order of the log."""
    return pd.read_parquet(finished / MODEL / "valid.parquet")


@pytest.fixture
def raw(finished: Path) -> pd.DataFrame:
    """The log of the valid day, as it is."""
    return pd.read_parquet(finished / "log" / "2024-01-03.parquet")


@pytest.fixture
def changed(bundle: Path, tmp_path: Path) -> Changed:
    """`changed(key, value)`: a copy of the bundle with another value in its one join."""

    def change(key: str, value: str) -> Path:
        shutil.copytree(bundle, tmp_path / "changed")
        file = tmp_path / "changed" / "experiment.json"
        content = json.loads(file.read_text())
        content["experiment"]["data"]["joins"][0][key] = value
        file.write_text(json.dumps(content))
        return tmp_path / "changed"

    return change
