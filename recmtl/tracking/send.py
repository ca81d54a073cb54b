"""From a spool's records to calls of MLflow, in order; each is marked once it has arrived."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recmtl.tracking.notes import EXPERIMENT_TAGS
from recmtl.tracking.spool import Record, Spool
from recmtl.tracking.store import artifact_root

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

_log = logging.getLogger("recmtl.tracking")

KEY = "recmtl.key"
_BATCH = 900  # MLflow takes 1000 entities a call, 100 of them parameters or tags
_SMALL_BATCH = 90
_LONGEST_PARAM = 6000
_LONGEST_TAG = 8000


@dataclass(frozen=True)
class Sender:
    """Sends one spool to the store at `uri`."""

    client: "MlflowClient"
    uri: str
    spool: Spool

    def drain(self) -> None:
        """Send all that is pending. Raises what MLflow raises; what was sent by then stays sent."""
        with self.spool.sending():
            self._rewind_if_lost()
            for op, group in groupby(self.spool.pending(), key=lambda item: str(item[0]["op"])):
                if op == "metrics":
                    self._metrics(list(group))
                else:
                    for record, offset in group:
                        self._refusable(op, record)
                        self.spool.mark(offset=offset)

    def _rewind_if_lost(self) -> None:
        """A spool is the whole run: where its run is in no store any more, all of it goes again."""
        pending, sent = self.spool.pending(), self.spool.sent()
        begins = [record for record, _ in pending if record["op"] == "start"]
        if sent.run_id is not None and begins and not self._find(begins[0]):
            self.spool.mark(offset=0, run_id=None, experiment_id=None)

    def _find(self, record: Record) -> "list[MlflowRun]":
        """The run of this start's key, if there is one."""
        experiment = self.client.get_experiment_by_name(record["experiment"])
        return [] if experiment is None else list(self.client.search_runs(
            [experiment.experiment_id], f"tags.`{KEY}` = '{record['key']}'", max_results=1,
            order_by=["attributes.start_time DESC"],
        ))

    def _refusable(self, op: str, record: Record) -> None:
        """A value that MLflow will never take must not hold up what stands behind it."""
        from mlflow.exceptions import MlflowException

        try:
            self._one(op, record)
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE" or op == "start":
                raise
            _log.warning("MLflow refuses this, so it is left out: %s", error)

    def _one(self, op: str, record: Record) -> None:
        actions: dict[str, Callable[[Record], None]] = {
            "start": self._start, "tags": self._tags, "artifact": self._artifact,
            "table": self._table, "finish": self._finish, "metric values": self._log_values,
        }
        actions[op](record)

    @property
    def _run_id(self) -> str:
        run_id = self.spool.sent().run_id
        assert run_id is not None, "a spool begins with its start"
        return run_id

    def _start(self, record: Record) -> None:
        """Resume the run of this key, else create it: a killed process leaves its run RUNNING."""
        experiment = self._experiment(record["experiment"])
        found = self._find(record)
        if found:
            run_id = found[0].info.run_id
            self.client.update_run(run_id, status="RUNNING", name=record["name"])
        else:
            run_id = self.client.create_run(
                experiment, start_time=record["time"], tags={KEY: record["key"]},
                run_name=record["name"],
            ).info.run_id
        self.spool.mark(run_id=run_id, experiment_id=experiment)
        self._tags({"values": record["tags"]})
        self._params(record["params"], known=found[0].data.params if found else {})

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        known = self.client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        root = artifact_root(self.uri)
        try:
            return self.client.create_experiment(
                name, artifact_location=root and f"{root}/{name}", tags=EXPERIMENT_TAGS
            )
        except MlflowException:  # another process may have been quicker
            known = self.client.get_experiment_by_name(name)
            if known is None:
                raise
            return str(known.experiment_id)

    def _params(self, values: dict[str, str], known: dict[str, str]) -> None:
        """MLflow refuses to change a parameter: a resumed run gets only those that it lacks."""
        from mlflow.entities import Param

        new = [Param(k, str(v)[:_LONGEST_PARAM]) for k, v in values.items() if k not in known]
        for part in _parts(new, _SMALL_BATCH):
            self.client.log_batch(self._run_id, params=part)

    def _tags(self, record: Record) -> None:
        from mlflow.entities import RunTag

        tags = [RunTag(k, str(v)[:_LONGEST_TAG]) for k, v in record["values"].items()]
        for part in _parts(tags, _SMALL_BATCH):
            self.client.log_batch(self._run_id, tags=part)

    def _metrics(self, records: Sequence[tuple[Record, int]]) -> None:
        """Each value keeps its record's time: sent a second time, MLflow takes it as the same."""
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, record["time"], record["step"])
            for record, _ in records for name, value in record["values"].items()
        ]
        for part in _parts(metrics, _BATCH):
            self._refusable("metric values", {"metrics": part})
        self.spool.mark(offset=records[-1][1])

    def _log_values(self, record: Record) -> None:
        self.client.log_batch(self._run_id, metrics=record["metrics"])

    def _artifact(self, record: Record) -> None:
        path = self.spool.folder / record["path"]
        if not path.exists():
            _log.warning("%s is gone before it could be sent to MLflow", path)
        elif path.is_dir():
            folder = "/".join(part for part in (record["folder"], path.name) if part)
            self.client.log_artifacts(self._run_id, str(path), folder)
        else:
            self.client.log_artifact(self._run_id, str(path), record["folder"])

    def _table(self, record: Record) -> None:
        """The compare view offers a table by itself where this tag names it."""
        self._artifact(record)
        tag = "mlflow.loggedArtifacts"
        entry = {"path": Path(record["path"]).name, "type": "table"}
        tags: dict[str, str] = self.client.get_run(self._run_id).data.tags
        listed: list[dict[str, Any]] = json.loads(tags.get(tag, "[]"))
        if entry not in listed:
            self.client.set_tag(self._run_id, tag, json.dumps([*listed, entry]))

    def _finish(self, record: Record) -> None:
        self.client.set_terminated(self._run_id, record["status"], record["time"])


def _parts(items: list[Any], size: int) -> list[list[Any]]:
    return [items[at : at + size] for at in range(0, len(items), size)]
