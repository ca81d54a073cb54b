"""A bundle as an MLflow pyfunc: a frame of input columns in, a frame with a column a task out."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import Array

from recmtl.plugins import needed
from recmtl.scoring.score import Scorer

_KINDS = {
    "BIGINT": (DataType.long, pa.int64()),
    "VARCHAR": (DataType.string, pa.string()),
    "DOUBLE": (DataType.double, pa.float64()),
    "FLOAT": (DataType.float, pa.float32()),
}
_PACKAGES = (
    "mlflow", "numpy", "pandas", "pyarrow", "pydantic", "duckdb", "sqlglot", "safetensors", "torch",
)


class BundleModel(PythonModel):
    """Loads the bundle that lies among the model's artifacts; nothing is unpickled."""

    scorer: Scorer

    def load_context(self, context: Any) -> None:
        self.scorer = Scorer.load(Path(context.artifacts["bundle"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Probabilities, or predictions in the label's unit: (rows) float64 a task."""
        scores = self.scorer.score(to_table(model_input, self.scorer.columns))
        return pd.DataFrame({task: scores[task].astype("float64") for task in self.scorer.tasks})


def to_table(frame: pd.DataFrame, columns: dict[str, str]) -> pa.Table:
    """The bundle's columns of a frame in their canonical types; NaN reads as null.

    A column that the frame lacks is left out: the scorer names it in its error.
    """
    present = {name: kind for name, kind in columns.items() if name in frame.columns}
    return pa.table({
        name: pa.array(frame[name], type=_arrow(kind), from_pandas=True)
        for name, kind in present.items()
    })


def signature_of(bundle: Path) -> ModelSignature:
    """The bundle's input columns and a double a task. Columns may hold nulls."""
    scorer = Scorer.load(bundle)
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(_mlflow(kind), name, required=False)
        for name, kind in scorer.columns.items()
    ]
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.double, task) for task in scorer.tasks
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def requirements(bundle: Path) -> list[str]:
    """What loading needs, in the versions at hand; a local build such as +cpu is left out."""
    own = needed(Scorer.load(bundle).bundle.experiment)
    found = [f"{name}=={number}" for name, number in {p.package: p.version for p in own}.items()]
    for package in _PACKAGES:
        try:
            found.append(f"{package}=={version(package).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return found


def _mlflow(kind: str) -> Any:
    element, is_list = _element(kind)
    return Array(_KINDS[element][0]) if is_list else _KINDS[element][0]


def _arrow(kind: str) -> pa.DataType:
    element, is_list = _element(kind)
    return pa.list_(_KINDS[element][1]) if is_list else _KINDS[element][1]


def _element(kind: str) -> tuple[str, bool]:
    return kind.removesuffix("[]"), kind.endswith("[]")
