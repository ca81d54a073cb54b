"""Metrics beside the built-in ones, as a file names them: all are plug-ins."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from recmtl.plugins import Plugged
from recmtl.schema.config import Config

if TYPE_CHECKING:
    import numpy as np

BINARY_METRICS = ("auc", "logloss", "pcoc")
REGRESSION_METRICS = ("rmse", "mae", "r2")
COUNTS = ("rows", "positives", "base_rate")


class MetricConfig(Config, ABC):
    """A metric of all tasks of a type, under the name `kind`: brier is brier_valid/ctr, and so on."""

    kind: str
    type: ClassVar[Literal["binary", "regression"]] = "binary"
    higher_is_better: ClassVar[bool] = True

    @abstractmethod
    def measure(self, label: "np.ndarray", score: "np.ndarray") -> float | None:
        """From labels (N,) float64 and scores (N,) of the task's label space, N ≥ 1; None: undefined.

        A score is a probability, or a prediction in the label's unit.
        """


Metric = Annotated[
    MetricConfig, Plugged("recmtl.metrics", MetricConfig, (*BINARY_METRICS, *REGRESSION_METRICS, *COUNTS))
]
