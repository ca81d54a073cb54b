"""DuckDB as it is opened: what killed processes spilled is removed, and nobody else's."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from recmtl.data.duck import connect


def test_spill_of_processes_that_are_no_more_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = os.uname().nodename
    names = [f"recmtl-spill-{here}-{gone.pid}-0", f"recmtl-spill-{here}-{os.getpid()}-999",
             f"recmtl-spill-elsewhere-{gone.pid}-0", f"recmtl-{gone.pid}"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "duckdb_temp").touch()
    connect().close()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names[1:])
