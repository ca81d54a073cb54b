"""Folders that tests write on Spark, and for each its twin, which DuckDB alone has written."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recmtl.data.examples import Examples
from recmtl.folder import digest


class Twins:
    """All twins of a session of tests, in a temporary folder until it is closed."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="recmtl-twins-"))
        self._twins: dict[Path, Path] = {}
        self._states: dict[Path, object] = {}

    def stand_in(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """A step's arguments `examples` and `out`, where it has them, as DuckDB is to have them."""
        found: dict[str, Any] = {}
        if "examples" in given:
            found["examples"] = self._examples(given["examples"])
        if "out" in given:
            found["out"] = self.of(given["out"])
        return found

    def of(self, folder: Path) -> Path:
        """The twin of a folder: a copy of it where it has none, or where anyone else changed it."""
        folder = folder.absolute()
        twin = self._twins.setdefault(folder, self._root / digest(str(folder.parent)) / folder.name)
        if self._states.get(folder, {}) != _state(folder):
            shutil.rmtree(twin, ignore_errors=True)
            twin.parent.mkdir(exist_ok=True)
            if folder.exists():
                (shutil.copytree if folder.is_dir() else shutil.copy2)(folder, twin)
            self.written(folder)
        return twin

    def written(self, folder: Path) -> None:
        """A step has written the folder and its twin."""
        self._states[folder.absolute()] = _state(folder.absolute())

    def named(self, text: str) -> str:
        """A text that names twins, with the folders' own names."""
        for folder, twin in self._twins.items():
            text = text.replace(str(twin), str(folder))
        return text

    def close(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)

    def _examples(self, made: Path | Examples) -> Path | Examples:
        if not isinstance(made, Examples):
            return self.of(made)
        self.of(made.folder.with_name("rates"))  # which they join
        return Examples.open(self.of(made.folder))


def _state(folder: Path) -> object:
    """All that lies there, so that any change shows."""
    found = {file: file.stat() for file in (folder, *sorted(folder.rglob("*"))) if file.exists()}
    return {file: (state.st_ino, state.st_mtime_ns, state.st_size) for file, state in found.items()}
