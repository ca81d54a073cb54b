"""Models in MLflow's registry: a bundle goes in as a pyfunc, an alias leads back to it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import recmtl
from recmtl.errors import RecmtlError
from recmtl.folder import digest, read_manifest
from recmtl.tracking.store import connect, pointing_at, store_uri

CHAMPION = "champion"
_BUNDLE_TAG = "recmtl.bundle"


@dataclass(frozen=True)
class Version:
    """A registered model's version; `uri` loads it, `text` is what scores are stamped with."""

    name: str
    number: str

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.number}"

    @property
    def text(self) -> str:
        return f"{self.name}/{self.number}"


def log_model(run_id: str, bundle: Path, name: str) -> str:
    """Log a bundle under a run, given by its id, as a pyfunc; its `models:/m-…` address.

    The package's own code goes along, so that a server without recmtl loads it. A bundle that the
    run already has is not logged a second time.
    """
    with _asking() as uri:
        client = connect(uri)
        mark = digest(read_manifest(bundle))
        run = client.get_run(run_id)
        for output in run.outputs.model_outputs if run.outputs else ():
            logged = client.get_logged_model(output.model_id)
            if logged.tags.get(_BUNDLE_TAG) == mark and str(logged.status) == "READY":
                return f"models:/{logged.model_id}"
        # Made here, in the run's own experiment: left to itself, MLflow takes the process's active one.
        made = client.create_logged_model(
            run.info.experiment_id, name, run_id, {_BUNDLE_TAG: mark}, run.data.params
        )
        return _log(uri, run_id, bundle, made.model_id)


def register(model_uri: str, name: str, tags: dict[str, str] | None = None) -> Version:
    """A new version of the registered model `name`; the one that this logged model already has."""
    from mlflow.exceptions import MlflowException

    with _asking() as uri, pointing_at(uri):
        client = connect(uri)
        logged = client.get_logged_model(model_uri.removeprefix("models:/"))
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        for known in client.search_model_versions(f"name = '{name}'"):
            if known.tags.get("recmtl.model_id") == logged.model_id:
                return Version(name, str(known.version))
        made = client.create_model_version(
            name, logged.artifact_location, run_id=logged.source_run_id, model_id=logged.model_id,
            tags={**(tags or {}), "recmtl.model_id": logged.model_id}, await_creation_for=0,
        )
        return Version(name, str(made.version))


def promote(version: Version, alias: str = CHAMPION) -> None:
    """Let the alias point at this version."""
    with _asking() as uri:
        connect(uri).set_registered_model_alias(version.name, alias, version.number)


def fetch(model: str) -> tuple[Path, str]:
    """The bundle folder of `models:/NAME@ALIAS`, `models:/NAME/VERSION` or a path, and its version.

    A model on a server is downloaded into a temporary folder. Raises RecmtlError where there is no
    such model, alias or folder.
    """
    if not model.startswith("models:/"):
        folder = Path(model)
        return folder, f"{folder.absolute().name}@{digest(read_manifest(folder))}"
    import mlflow.artifacts

    with _asking(model) as uri:
        version = _resolve(uri, model)
        local = mlflow.artifacts.download_artifacts(artifact_uri=version.uri, tracking_uri=uri)
    folders = sorted(file.parent for file in Path(local).glob("artifacts/*/manifest.json"))
    if len(folders) != 1:
        raise RecmtlError("this model holds no bundle", where=version.uri, found=local)
    return folders[0], version.text


def _resolve(uri: str, model: str) -> Version:
    name, at, alias = model.removeprefix("models:/").partition("@")
    if at:
        return Version(name, str(connect(uri).get_model_version_by_alias(name, alias).version))
    name, slash, number = name.rpartition("/")
    if not slash:
        raise RecmtlError(
            "names no version", where=model, expected="models:/NAME@ALIAS or models:/NAME/VERSION"
        )
    return Version(name, str(connect(uri).get_model_version(name, number).version))


def _log(uri: str, run_id: str, bundle: Path, model_id: str) -> str:
    connect(uri)  # sets the defaults that must stand before mlflow is imported
    import mlflow.pyfunc
    from mlflow.models import Model

    from recmtl.tracking.pyfunc import requirements, signature_of

    here = Path(__file__)
    with pointing_at(uri), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it asks for an example: there is a signature
        info = Model.log(
            artifact_path=None, flavor=mlflow.pyfunc, run_id=run_id, model_id=model_id,
            python_model=str(here.with_name("pyfunc_model.py")), artifacts={"bundle": str(bundle)},
            code_paths=[str(Path(recmtl.__file__).parent)], pip_requirements=requirements(bundle),
            signature=signature_of(bundle),
        )
    return str(info.model_uri)


@contextmanager
def _asking(model: str | None = None) -> Iterator[str]:
    """The store's address; what MLflow raises becomes one sentence."""
    uri = store_uri()
    connect(uri)
    from mlflow.exceptions import MlflowException

    try:
        yield uri
    except MlflowException as error:
        raise RecmtlError(
            f"MLflow: {(str(error).strip() or 'no answer').splitlines()[0]}", where=model or uri,
            fix="check the name and the alias, and that the server at MLFLOW_TRACKING_URI is up; "
            "`recmtl promote` registers a champion",
        ) from error
