"""A run's spool: what is to reach MLflow, one JSON record a line, and how much of it has."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recmtl.folder import write_file

RECORDS = "spool.jsonl"
_SENT = "sent.json"

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Sent:
    """How far a spool has been sent: bytes of it, and the run that they went to."""

    offset: int = 0
    run_id: str | None = None
    experiment_id: str | None = None


@dataclass(frozen=True)
class Spool:
    """The spool in `folder`; files that records point at may lie there too."""

    folder: Path
    records: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", self.folder / RECORDS)

    def append(self, record: Record) -> None:
        """Add a record; it is on disk, whole, when this returns."""
        self.folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps(record, allow_nan=False, ensure_ascii=False, default=str) + "\n"
        with self.records.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _cut_torn_line(file)
            file.write(line.encode())
            file.flush()

    def pending(self) -> list[tuple[Record, int]]:
        """The records not yet sent, in order, each with the offset behind it."""
        return self.since(self.sent().offset)

    def since(self, offset: int) -> list[tuple[Record, int]]:
        """The records from an offset on; 0 gives all, sent or not."""
        try:
            with self.records.open("rb") as file:
                file.seek(offset)
                lines = file.readlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            if line.endswith(b"\n"):
                offset += len(line)
                found.append((json.loads(line), offset))
        return found

    def sent(self) -> Sent:
        try:
            return Sent(**json.loads((self.folder / _SENT).read_text()))
        except FileNotFoundError:
            return Sent()

    def mark(self, **changes: object) -> None:
        """Note what has been sent: `offset`, `run_id`, `experiment_id`."""
        write_file(self.folder / _SENT, json.dumps(vars(replace(self.sent(), **changes))))  # type: ignore[arg-type]

    @contextmanager
    def sending(self) -> Iterator[None]:
        """One sender at a time, so that no record goes out twice."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".sending").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _cut_torn_line(file: Any) -> None:
    """A killed process may leave half a line at the end: it would spoil the next one."""
    size = file.seek(0, 2)
    if size == 0:
        return
    file.seek(size - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    file.truncate(file.read().rfind(b"\n") + 1)
    file.seek(0, 2)
