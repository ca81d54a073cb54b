"""The one writer of output folders: all or nothing, with a manifest, one writer at a time.

A folder is written under a temporary name beside its final one and renamed when complete. A folder
that has its `manifest.json` is whole; one that lacks it is not ours or not finished. Whoever writes holds
a lock on a file beside it, `.NAME.lock`, which all see that see the folder, and which stays.

    with locked(path):                    # a second run waits here, and then sees what the first made
        if not is_current(path, key):
            with write_folder(path, manifest) as folder: …
"""

import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from recmtl.errors import RecmtlError

MANIFEST = "manifest.json"
_log = logging.getLogger("recmtl")
_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


def digest(value: object) -> str:
    """A short stable digest of a JSON value: equal values, equal digests."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def file_digest(path: Path) -> str:
    """The digest of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the one who writes `path`; who holds it may enter again, anyone else waits and is told so.

    What a killed writer left beside `path` is put right. Where we may not write there is nothing to lock,
    and `path` is as it is. Raises RecmtlError where there can be no lock for another reason.
    """
    path = Path(os.path.abspath(path))
    held = _held.get()
    # what lies in a folder that is being written is out of everybody's sight
    if path in held or any(_sibling(other, "tmp") in path.parents for other in held):
        yield
        return
    try:
        handle = _acquire(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    if handle is None:
        yield
        return
    holding = _held.set(held | {path})
    try:
        _recover(path)
        yield
    finally:
        _held.reset(holding)
        os.close(handle)


@contextmanager
def write_folder(path: Path, manifest: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a temporary folder to fill; on success it becomes `path`, else it is removed.

    The manifest may be a dict that the body goes on filling: it is written last. An older folder at
    `path` is replaced. Waits while another process writes the same path. Raises RecmtlError where
    `path` holds something else, which is left as it is.
    """
    path = Path(os.path.abspath(path))
    temporary, old = _sibling(path, "tmp"), _sibling(path, "old")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            _refuse_foreign(path)
            temporary.mkdir()
            try:
                yield temporary
                _write_manifest(temporary, manifest)
                if path.exists():
                    path.rename(old)
                temporary.rename(path)
            finally:
                _recover(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a whole folder.

    Raises RecmtlError where the folder is missing, was not finished, or the manifest is no JSON.
    """
    file = Path(path) / MANIFEST
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        raise RecmtlError(
            "no finished folder here", where=path, expected=f"a folder with {MANIFEST}",
            fix="run the step that writes it",
        ) from None
    except (OSError, ValueError) as error:
        raise RecmtlError(f"unreadable manifest: {error}", where=file) from error
    if not isinstance(content, dict):
        raise RecmtlError("unreadable manifest: not a JSON object", where=file)
    return content


def is_current(path: Path, key: str) -> bool:
    """Whether `path` is a whole folder that was made from `key`, so that it need not be redone."""
    try:
        return read_manifest(path).get("key") == key
    except RecmtlError:
        return False


def write_file(path: Path, content: str | bytes) -> None:
    """Write a small file under a temporary name, then rename it."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> RecmtlError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = "free space on the disk or choose another folder" if full else "choose another folder"
    return RecmtlError(
        f"could not be written: {error.strerror or error}",
        where=path, found=error.filename, fix=f"{advice}; nothing was left there",
    )


def _acquire(path: Path) -> int | None:
    """The open lock file of a path, locked; None where there is none and we may not make one."""
    told = False
    while (handle := _open_lock(path)) is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                _log.warning("waits for another run that writes %s", path)
                told = True
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle
        os.close(handle)  # somebody has removed it meanwhile: a lock on it keeps nobody out
    return None


def _open_lock(path: Path) -> int | None:
    name = _sibling(path, "lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
    # another user's is locked as well by who can only read it
    return os.open(name, os.O_RDONLY) if os.path.exists(name) else None


def _sibling(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}.{suffix}")


def _recover(path: Path) -> None:
    """Undo what a failed writer left: its half folder goes, a folder moved aside comes back."""
    temporary, old = _sibling(path, "tmp"), _sibling(path, "old")
    if old.exists() and not path.exists():
        old.rename(path)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(temporary, ignore_errors=True)


def _refuse_foreign(path: Path) -> None:
    """What has no manifest is somebody else's: it is not replaced."""
    if path.is_file() or (path.is_dir() and not (path / MANIFEST).exists() and any(path.iterdir())):
        raise RecmtlError(
            "is there already and is no folder that recmtl wrote", where=path,
            fix="choose another folder, or remove it",
        )


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    files = {
        str(file.relative_to(folder)): file.stat().st_size
        for file in sorted(folder.rglob("*")) if file.is_file()
    }
    with (folder / MANIFEST).open("w") as file:
        file.write(json.dumps({**manifest, "files": files}, indent=1, ensure_ascii=False, default=str))
        file.flush()
        os.fsync(file.fileno())
