"""Source files: what a manifest knows of them and how they lie there go in, one record a file comes out.

A file's digest is taken again only where its size or time differs, so that a log that was only touched
is the log that it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from recmtl.data.logs.checks import Held
from recmtl.data.logs.files import content_digest, look
from recmtl.errors import RecmtlError

States = Mapping[str, tuple[int, int]]  # path → bytes, time of the last change in nanoseconds


@dataclass(frozen=True)
class FileRecord:
    """A file that was read, and what it gave to which day; None before it is known."""

    path: str
    size: int
    mtime: int
    digest: str
    rows: int = 0
    days: Mapping[str, Held] | None = None
    removed: bool = False

    @property
    def state(self) -> tuple[int, int]:
        return self.size, self.mtime

    @property
    def left_out(self) -> int:
        """Rows that are on none of the days: `where` does not keep them."""
        return self.rows - sum(int(rows) for rows, *_ in (self.days or {}).values())

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "FileRecord":
        """From a manifest."""
        days = record["days"]
        known = None if days is None else {day: Held(*held) for day, held in days.items()}
        return cls(**{**record, "days": known})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def refuse_changes(states: States) -> None:
    """Raise RecmtlError naming a file that does not lie there any more as it did."""
    now = look(states)
    for path, state in states.items():
        if now[path] != state:
            raise RecmtlError(
                "changed while it was read", where=path,
                expected=f"{state[0]:,} bytes, as when it was listed", found=f"{now[path][0]:,} bytes",
                fix="run again when the file is complete; write logs under another name and rename them",
            )


def are_as_known(states: States, known: Iterable[FileRecord]) -> bool:
    """Whether the files are those known, of the same sizes and times; nothing is read."""
    return dict(states) == {source.path: source.state for source in known if not source.removed}


def take(path: str, state: tuple[int, int], old: FileRecord | None) -> FileRecord:
    """The record of a file; what its content gave is remembered where the content is the same."""
    if old and old.state == state:
        return replace(old, path=path, removed=False)
    digest = _digest(path)
    size, mtime = state
    if old and old.digest == digest:
        return replace(old, path=path, size=size, mtime=mtime, removed=False)
    return FileRecord(path, size, mtime, digest)


def _digest(path: str) -> str:
    """Of the content, and of what folders such as dt=2024-01-01 add to it."""
    return "/".join([content_digest(path), *(part for part in path.split("/")[:-1] if "=" in part)])


def take_all(states: States, known: Sequence[FileRecord]) -> list[FileRecord]:
    """A record a file, in the order of the listing."""
    old = {source.path: source for source in known}
    with ThreadPoolExecutor() as pool:  # a digest lets other threads run
        return [*pool.map(lambda path: take(path, states[path], old.get(path)), states)]


def number(states: States, known: Sequence[FileRecord]) -> list[FileRecord]:
    """The same for the log, whose files have numbers: their places, which later runs do not change.

    A file that was renamed keeps its number, one that is gone leaves an empty record, a new one gets
    the next.
    """
    taken = {source.path: source for source in take_all(states, known)}
    found = [
        taken.pop(source.path, replace(source, removed=True, rows=0, days=None)) for source in known
    ]
    left = {source.digest: place for place, source in enumerate(found) if source.removed}
    for new in taken.values():
        place = left.pop(new.digest, len(found))
        if place == len(found):
            found.append(new)
        else:
            found[place] = replace(new, rows=known[place].rows, days=known[place].days)
    return found
