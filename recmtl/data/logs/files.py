"""Files of a log, local or in an object store: patterns go in; paths, states and digests come out.

An object store is reached through fsspec, which takes endpoint and credentials from the store's usual
environment variables (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, …).
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from glob import escape, glob, has_magic
from pathlib import Path
from typing import Any

from recmtl.data.database import Database
from recmtl.errors import RecmtlError
from recmtl.folder import digest, file_digest
from recmtl.schema import Problem

State = tuple[int, int]  # bytes, and a number that changes with the content, such as nanoseconds
Files = Mapping[str, tuple[str, ...]]  # of side tables and events, by their keys: joins[0], events.click
_EXTRAS = {"s3": "recmtl[s3]", "gs": "recmtl[gs]"}
_VERSIONS = ("ETag", "etag", "generation", "LastModified", "mtime", "created")
_HIDDEN = (".", "_")


def is_remote(path: str) -> bool:
    return "://" in path


def find(problem: Problem, patterns: Iterable[str], where: str) -> tuple[str, ...]:
    """The files that patterns name, sorted within a pattern, each once. Raises RecmtlError for none.

    A pattern is a file, a glob (`**` for folders of any depth), or a folder with partitions such as
    dt=2024-01-01. Files and folders below it that begin with "." or "_" are somebody's unfinished work.
    """
    files: dict[str, None] = {}
    for pattern in patterns:
        path = problem.path(pattern)
        found = _remote_matches(path) if is_remote(path) else _local_matches(path)
        matches = [match for match in found if not _is_hidden(match, path)]
        if not matches:
            _refuse_folder(path, pattern, where)
            raise RecmtlError(
                f"no file matches {path}" if has_magic(path) else f"no file {path}",
                where=where, fix="check the path and the environment variables in it",
            )
        files |= dict.fromkeys(matches)
    return tuple(files)


def find_inputs(problem: Problem) -> Files:
    """The files of all side tables and events. Raises RecmtlError where one has none."""
    joins = {f"joins[{number}]": (join.path,) for number, join in enumerate(problem.data.joins)}
    events = {f"events.{name}": event.paths for name, event in problem.data.events.items()}
    patterns: Files = {**joins, **events}
    return {key: find(problem, paths, f"data.{key}") for key, paths in patterns.items()}


def look(paths: Iterable[str]) -> dict[str, State]:
    """How files lie there now. Raises RecmtlError for one that does not."""
    paths = list(paths)
    _refresh({os.path.dirname(path) for path in paths if is_remote(path)})
    states = {}
    for path in paths:
        try:
            states[path] = _remote_state(path) if is_remote(path) else _local_state(path)
        except OSError as error:
            raise RecmtlError(
                f"cannot be read: {error.strerror or error}", where=path,
                fix="it was there a moment ago: run again when nobody moves the log",
            ) from error
    return states


def content_digest(path: str) -> str:
    """The digest of a file's content; of an object store the one that the store keeps, if it does."""
    try:
        if not is_remote(path):
            return file_digest(Path(path))
        with _store(path) as (store, inner):
            info = store.info(inner)
            return digest([info["size"], _version(info)])
    except OSError as error:
        raise RecmtlError(f"cannot be read: {error.strerror or error}", where=path) from error


def attach(db: Database, files: Iterable[str]) -> None:
    """Let DuckDB read the object stores that the files lie in."""
    for scheme, path in {f.partition("://")[0]: f for f in files if is_remote(f)}.items():
        with _store(path) as (store, _):
            if scheme not in db.list_filesystems():
                db.register_filesystem(store)


def _local_matches(path: str) -> list[str]:
    if Path(path).is_file():
        return [path]
    if Path(path).is_dir():
        path = f"{escape(path)}/*=*/**/*.parquet"
    return sorted(match for match in glob(path, recursive=True) if Path(match).is_file())


def _remote_matches(path: str) -> list[str]:
    with _store(path) as (store, inner), suppress(FileNotFoundError):
        store.invalidate_cache()
        if not has_magic(path) and store.isdir(inner):
            inner = f"{inner.rstrip('/')}/*=*/**/*.parquet"
        found = store.glob(inner, detail=True).values()
        return sorted(store.unstrip_protocol(f["name"]) for f in found if f["type"] == "file")
    return []


def _is_hidden(match: str, pattern: str) -> bool:
    """Whether a part of the path that was found, not written out, begins with "." or "_"."""
    written = [part for part in pattern.split("/") if part[:1] in _HIDDEN]
    parts = [part for part in match.split("/") if part[:1] in _HIDDEN]
    return any(not any(fnmatchcase(part, name) for name in written) for part in parts)


def _refuse_folder(path: str, pattern: str, where: str) -> None:
    if not is_remote(path) and Path(path).is_dir():
        raise RecmtlError(
            f"{path} is a folder without partitions", where=where,
            fix=f'name its files, e.g. "{pattern}/*.parquet"',
        )


def _local_state(path: str) -> State:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns


def _remote_state(path: str) -> State:
    with _store(path) as (store, inner):
        info = store.info(inner)
        return int(info["size"]), int(digest(_version(info)), 16)


def _version(info: dict[str, Any]) -> str:
    """What a store says of a file's content: its digest, or else when it was written."""
    return next(str(info[name]) for name in _VERSIONS if info.get(name))


def _refresh(folders: set[str]) -> None:
    """Forget what stores said before; list each folder once rather than ask for every file."""
    for step in ("invalidate_cache", "ls"):
        for folder in sorted(folders):
            with _store(folder) as (store, inner), suppress(FileNotFoundError):
                getattr(store, step)(*([inner] if step == "ls" else []))


@contextmanager
def _store(path: str) -> Iterator[tuple[Any, str]]:
    """The file system of a path and the path in it; what goes wrong there names the path.

    DuckDB asks for the ranges that it needs, so that reading ahead would fetch the same bytes again.
    """
    scheme = path.partition("://")[0]
    try:
        from fsspec.core import url_to_fs

        yield url_to_fs(path, default_cache_type="none")
    except (RecmtlError, FileNotFoundError):
        raise
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        raise RecmtlError(
            f"{scheme}:// needs a package that is not installed: {error}", where=path,
            fix=f"pip install '{extra}'" if extra else "pip install the package that it names",
        ) from error
    except Exception as error:  # each store has errors of its own, of no common type
        raise RecmtlError(
            f"cannot be reached: {type(error).__name__}: {error}", where=path,
            fix="check the store's environment variables: endpoint, region, credentials",
        ) from error
