"""What the last run left, and what lies there now: whether anything is to be done, and to which days."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recmtl.data.increments.days import Origins, Window
from recmtl.data.increments.files import FileRecord, States, are_as_known, refuse_changes
from recmtl.data.logs.files import find, find_inputs, look
from recmtl.errors import RecmtlError
from recmtl.folder import read_manifest
from recmtl.schema import Problem


@dataclass(frozen=True)
class Listing:
    """The files of a problem by what they are to it, as they lay there when they were listed."""

    log: States
    inputs: Mapping[str, States]  # side tables and events, by their keys in the configuration

    @classmethod
    def make(cls, problem: Problem) -> "Listing":
        """Raises RecmtlError where a pattern finds nothing."""
        inputs = {key: look(files) for key, files in find_inputs(problem).items()}
        return cls(look(find(problem, problem.data.impressions.paths, "data.impressions")), inputs)

    def refuse_changes(self) -> None:
        """Raise RecmtlError naming a file that does not lie there any more as it did."""
        for states in (self.log, *self.inputs.values()):
            refuse_changes(states)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Where reading fails inside because a file was changed meanwhile, say so."""
        try:
            yield
        except RecmtlError:
            self.refuse_changes()
            raise


@dataclass(frozen=True)
class Known:
    """The manifest that stands in a folder of examples; empty where there is none, or a foreign one."""

    manifest: Mapping[str, Any]
    same_settings: bool

    @classmethod
    def open(cls, out: Path, settings: str) -> "Known":
        """`settings` are those of now: what files gave under others is not known."""
        try:
            manifest = read_manifest(out)
        except RecmtlError:
            manifest = {}
        return cls(manifest, manifest.get("settings") == settings)

    @property
    def sources(self) -> list[FileRecord]:
        """The log's files in the order of their numbers."""
        return [FileRecord.of(s) for s in self.manifest["sources"]] if self.same_settings else []

    @property
    def inputs(self) -> dict[str, list[FileRecord]]:
        """The other files."""
        if not self.same_settings:
            return {}
        listed = self.manifest["inputs"].items()
        return {name: [FileRecord.of(record) for record in files] for name, files in listed}

    @property
    def origins(self) -> Origins:
        """What each day was made from."""
        origins: Origins = self.manifest.get("made_from", {})
        return origins

    def covers(self, listing: Listing, as_of: str | None, window: Window) -> bool:
        """Whether there is nothing to do; only sizes and times of files are looked at."""
        return (
            self.same_settings and self.manifest["as_of"] == as_of
            and are_as_known(listing.log, self.sources)
            and listing.inputs.keys() == self.inputs.keys()
            and all(are_as_known(listing.inputs[name], files) for name, files in self.inputs.items())
            and not any(window.holds(day) for day in self.manifest["stale"])
        )
