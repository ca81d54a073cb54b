"""Runs in MLflow that survive its absence: all goes into a spool first, then to the server."""

import json
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from recmtl.folder import write_file
from recmtl.tracking.send import Sender
from recmtl.tracking.spool import RECORDS, Spool
from recmtl.tracking.store import connect, run_page, store_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logging.getLogger("recmtl.tracking")


@dataclass(frozen=True)
class Tracker:
    """Where runs go: a store, an experiment, and the folder of the spools."""

    client: "MlflowClient"
    uri: str
    experiment: str
    spool: Path

    @classmethod
    def open(cls, experiment: str, spool: Path) -> Self:
        """The store of the working directory or of MLflow's environment variables.

        MLFLOW_EXPERIMENT_NAME, where set, wins over `experiment`. No server needs to be up. Raises
        RecmtlError for an address that MLflow cannot use.
        """
        uri = store_uri()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or experiment
        return cls(connect(uri), uri, name, Path(spool).absolute())

    def start(
        self, name: str, key: str, tags: Mapping[str, object], params: Mapping[str, object]
    ) -> "TrackedRun":
        """The run of `key`: resumed where there is one, else a new one; never two of one key."""
        run = TrackedRun(Sender(self.client, self.uri, Spool(self.spool / key)))
        run.record(
            "start", name=name, key=key, experiment=self.experiment,
            tags={k: str(v) for k, v in tags.items()},
            params={k: str(v) for k, v in params.items()},
        )
        return run


class TrackedRun:
    """One run, by its id: no active run of the process is read or changed.

    Used as a context, it ends as FINISHED, FAILED (an error) or KILLED (an interrupt).
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._spool = sender.spool
        self._down = False
        self._known = {
            (name, record["step"], value)
            for record, _ in self._spool.since(0) if record["op"] == "metrics"
            for name, value in record["values"].items()
        }

    @property
    def run_id(self) -> str | None:
        """None as long as the server was never reached."""
        return self._spool.sent().run_id

    @property
    def url(self) -> str | None:
        sent = self._spool.sent()
        if sent.run_id is None or sent.experiment_id is None:
            return None
        return run_page(self._sender.uri, sent.experiment_id, sent.run_id)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Metrics of an epoch. One that is not finite gives a warning and a tag, not a point.

        What a resumed run already has at this step with this value is not added again.
        """
        values = {name: float(value) for name, value in values.items()}
        bad = {name: value for name, value in values.items() if not math.isfinite(value)}
        if bad:
            _log.warning("step %d: not finite, shown as tags: %s", step, bad)
            self._append("tags", values={
                f"recmtl.nonfinite/{name}": f"{value} at step {step}" for name, value in bad.items()
            })
        good = {
            name: value for name, value in values.items()
            if name not in bad and (name, step, value) not in self._known
        }
        self._known |= {(name, step, value) for name, value in good.items()}
        self.record("metrics", values=good, step=step)

    def table(self, rows: Sequence[Mapping[str, Any]], file: str = "per_task.json") -> None:
        """A table at the artifact root, which the compare view lays side by side by itself."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        data = [[_finite(row.get(name)) for name in columns] for row in rows]
        self._write(file, json.dumps({"columns": columns, "data": data}, ensure_ascii=False))
        self._append("table", path=file, folder=None)
        self._retry_unless_down()

    def text(self, content: str, file: str) -> None:
        """A small text artifact; `file` may hold folders."""
        self._write(file, content)
        folder = str(Path(file).parent)
        self._append("artifact", path=file, folder=None if folder == "." else folder)
        self._retry_unless_down()

    def dict(self, content: Mapping[str, Any], file: str) -> None:
        """A small JSON artifact."""
        self.text(json.dumps(content, indent=1, ensure_ascii=False, default=str), file)

    def tags(self, values: Mapping[str, object]) -> None:
        self._append("tags", values={name: str(value) for name, value in values.items()})
        self._retry_unless_down()

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """A file or a folder that stays where it is until it has been sent."""
        self._append("artifact", path=os.path.relpath(path, self._spool.folder), folder=folder)
        self._retry_unless_down()

    def finish(self, status: str = "FINISHED") -> None:
        """End the run as FINISHED, FAILED or KILLED, and send what is left."""
        self.record("finish", status=status)

    def record(self, op: str, **content: object) -> None:
        """Spool a record, then try to send all that is pending."""
        self._append(op, **content)
        self.flush()

    def flush(self) -> bool:
        """Try to send what is pending; whether nothing is left. Never raises: training goes on."""
        try:
            self._sender.drain()
        except Exception as error:  # whatever the server does, training must go on
            if not self._down:
                _log.warning(
                    "MLflow at %s did not take everything; it stays in %s and is sent later: %s",
                    self._sender.uri, self._spool.folder, _first_line(error),
                )
            self._down = True
            return False
        self._down = False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.finish("FAILED" if issubclass(kind, Exception) else "KILLED")

    def _append(self, op: str, **content: object) -> None:
        self._spool.append({"op": op, "time": int(time.time() * 1000), **content})

    def _retry_unless_down(self) -> None:
        """Metrics, once an epoch, and the end retry; the many small files between do not wait."""
        if not self._down:
            self.flush()

    def _write(self, file: str, content: str) -> None:
        write_file(self._spool.folder / file, content)


def replay(spool: Path) -> tuple[int, int]:
    """Send what is left in the spools at or below a folder: records sent, records still left."""
    uri = store_uri()
    client = connect(uri)
    sent = left = 0
    for file in sorted(Path(spool).absolute().rglob(RECORDS)):
        one = Spool(file.parent)
        before = len(one.pending())
        TrackedRun(Sender(client, uri, one)).flush()
        after = len(one.pending())
        sent, left = sent + before - after, left + after
    return sent, left


def _finite(value: Any) -> Any:
    """JSON has no NaN: it becomes a dash-like null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
