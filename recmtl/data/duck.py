"""DuckDB, opened the one way this project uses it; its errors come out as RecmtlError."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path

import duckdb
from pydantic import ByteSize, TypeAdapter

from recmtl.data.database import FAILURES
from recmtl.errors import RecmtlError

DEFAULT_MEMORY = "1GB"  # DuckDB's own buffers; what does not fit spills to the temporary folder

_FIXES = {
    "No space left": "free space on the disk or choose another folder; nothing was left there",
    "File too large": "free space on the disk or choose another folder; nothing was left there",
    "Out of Memory": "raise memory_limit in [data], or name a larger disk there: spill = … (else TMPDIR)",
}
_numbers = count()


def connect(memory_limit: str | None = None, spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A database in memory that spills to a folder, the system's temporary one by default.

    What killed processes spilled there goes. Raises RecmtlError where `memory_limit` is no size such
    as "2GB", and where there can be no folder `spill`.
    """
    folder, ours = _folder(spill), f"recmtl-spill-{os.uname().nodename}-"
    _sweep(folder, ours)
    own = folder / f"{ours}{os.getpid()}-{next(_numbers)}"
    db = duckdb.connect(config={"temp_directory": str(own)})
    db.execute("SET enable_progress_bar = false")
    with engine_errors("memory_limit"):
        db.execute("SET memory_limit = ?", [memory_limit or DEFAULT_MEMORY])
    return db


@cache
def held_bytes(memory_limit: str | None) -> int:
    """Half of what the engine's buffers may take: what may be held where they are not used.

    The engine is asked, once: it alone knows all forms of a size, such as "80%". Raises RecmtlError where
    `memory_limit` is none.
    """
    with closing(connect(memory_limit)) as db, engine_errors("memory_limit"):
        ((told,),) = db.execute("SELECT current_setting('memory_limit')").fetchall()  # "953.6 MiB"
    return int(TypeAdapter(ByteSize).validate_python(told)) // 2


def _folder(spill: Path | None) -> Path:
    if spill is None:
        return Path(tempfile.gettempdir())
    try:
        spill.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecmtlError(
            f"cannot be made: {error.strerror}", where="data.spill", found=spill,
            fix="name another folder",
        ) from error
    return spill


def _sweep(place: Path, ours: str) -> None:
    """Remove the spill folders of processes of this machine that are no more."""
    for folder in place.glob(f"{ours}*"):
        process = folder.name.removeprefix(ours).partition("-")[0]
        with suppress(OSError):
            if folder.stat().st_uid == os.getuid() and not _runs(process):
                shutil.rmtree(folder, ignore_errors=True)


def _runs(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):
        return True
    return True


@contextmanager
def engine_errors(where: object = None) -> Iterator[None]:
    """Turn what an engine raises inside into a RecmtlError about `where`."""
    try:
        yield
    except FAILURES as error:
        message = str(error).partition("\n")[0]
        fix = next((fix for sign, fix in _FIXES.items() if sign in str(error)), None)
        raise RecmtlError(message, where=where, fix=fix) from error
