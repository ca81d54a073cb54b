"""Which MLflow store is used: `./mlflow.db`, else what MLflow's own variables say."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from recmtl.errors import RecmtlError

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCAL_PAGE = "http://127.0.0.1:5000"  # where `mlflow ui` stands unless told otherwise
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
}
# With MLflow's own defaults an unreachable server blocks for four minutes.
_HTTP_DEFAULTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}


def store_uri() -> str:
    """MLFLOW_TRACKING_URI, else SQLite in the working directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def connect(uri: str) -> "MlflowClient":
    """A client of the store; a fresh SQLite file is initialised by one process at a time.

    Reaches no server: that happens with the first call. Raises RecmtlError for an address that
    MLflow does not know or refuses.
    """
    _set_defaults(uri)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    database = database_of(uri)
    try:
        if database is None:
            return MlflowClient(tracking_uri=uri, registry_uri=_registry_uri(uri))
        with _initialising(database):
            return MlflowClient(tracking_uri=uri, registry_uri=_registry_uri(uri))
    except (MlflowException, OSError) as error:
        raise RecmtlError(
            f"MLflow cannot use this store: {str(error).splitlines()[0]}", where=uri,
            expected="sqlite:///FILE, a database's address or an MLflow server's http(s) address",
            fix="set MLFLOW_TRACKING_URI, or unset it to use ./mlflow.db",
        ) from error


def artifact_root(uri: str) -> str | None:
    """A folder beside the SQLite file; None leaves it to the server."""
    database = database_of(uri)
    return None if database is None else (database.parent / "mlartifacts").as_uri()


def run_page(uri: str, experiment_id: str, run_id: str) -> str:
    """The address of a run's page; for a local store that of `mlflow ui`."""
    server = uri.rstrip("/") if uri.startswith("http") else LOCAL_PAGE
    return f"{server}/#/experiments/{experiment_id}/runs/{run_id}"


def database_of(uri: str) -> Path | None:
    """The file of a SQLite store, None for any other store."""
    prefix = "sqlite:///"
    return Path(os.path.abspath(uri.removeprefix(prefix))) if uri.startswith(prefix) else None


@contextmanager
def pointing_at(uri: str) -> Iterator[None]:
    """Within, MLflow's process-wide address is `uri`: logging a model reads only that."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]


def _set_defaults(uri: str) -> None:
    defaults = {**_DEFAULTS, **(_HTTP_DEFAULTS if uri.startswith("http") else {})}
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def _registry_uri(uri: str) -> str:
    return os.environ.get("MLFLOW_REGISTRY_URI") or uri


@contextmanager
def _initialising(database: Path) -> Iterator[None]:
    """MLflow's migrations of a fresh file fail where two processes run them at once."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f"{database.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
