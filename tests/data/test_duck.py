"""DuckDB as it is opened: what killed processes spilled is removed, and nobody else's."""

import os
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from recmtl.data.duck import connect, held_bytes
from recmtl.data.engine import open_engine
from recmtl.data.ingest import ingest
from recmtl.errors import RecmtlError
from tests.data import made_log


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


def test_what_does_not_fit_goes_to_the_folder_that_the_file_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder relative to the file's; the examples are the same with any."""
    made_log.write(tmp_path / "log.parquet", made_log.ROWS)
    monkeypatch.setenv("FAST", "disk")
    named = made_log.problem(tmp_path, data={"spill": "${FAST}/spill"})
    assert named.spill == tmp_path / "disk" / "spill"
    with closing(open_engine(named)) as db:
        ((folder,),) = db.execute("SELECT current_setting('temp_directory')").fetchall()
    assert Path(folder).parent == named.spill and named.spill.is_dir()
    first = ingest(named, tmp_path / "out")
    assert ingest(made_log.problem(tmp_path), tmp_path / "out") == first


def test_the_engine_takes_as_much_as_it_may() -> None:
    with closing(connect("2GB")) as db:
        assert db.execute("SELECT current_setting('memory_limit')").fetchall() == [("1.8 GiB",)]


@pytest.mark.parametrize(
    ("limit", "half"),
    [(None, 5e8), ("2GB", 1e9), ("512MiB", 2**28), ("1.5 GB", 7e8), ("3G", 1.5e9),
     ("250 megabytes", 1.25e8)],
)
def test_half_of_what_the_engine_may_take(limit: str | None, half: float) -> None:
    assert held_bytes(limit) == pytest.approx(half, rel=0.05)  # told to a tenth of a GiB, cut off


def test_what_is_no_size_is_named() -> None:
    for limit in ("lots", "0MB", "99999999TB"):
        with pytest.raises(RecmtlError, match="memory_limit"):
            held_bytes(limit)


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    made_log.write(tmp_path / "log.parquet", made_log.ROWS)
    with pytest.raises(RecmtlError, match=r"data\.spill: cannot be made[\s\S]*log\.parquet"):
        open_engine(made_log.problem(tmp_path, data={"spill": "log.parquet/spill"}))
