"""What each metric is called and which way it is better, and metrics of plug-ins as a file names them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from recmtl.plugins import Plugged
from recmtl.schema.config import Config
from recmtl.schema.tasks import Task, TaskType

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class BuiltIn:
    """How people read it, and whether less of it is better; None: it is best in between."""

    shown: str
    lower: bool | None = False


METRICS: Mapping[str, BuiltIn] = {  # one name means one thing for all types of tasks
    "auc": BuiltIn("AUC"),
    "rmse": BuiltIn("RMSE", lower=True),
    "gauc": BuiltIn("AUC within"),
    "auc_weighted": BuiltIn("AUC, by rows"),
    "logloss": BuiltIn("log loss", lower=True),
    "logloss_weighted": BuiltIn("log loss, by rows", lower=True),
    "pcoc": BuiltIn("PCOC", lower=None),
    "mae": BuiltIn("MAE", lower=True),
    "r2": BuiltIn("R²"),
    "xauc": BuiltIn("XAUC"),
    "nrmse": BuiltIn("RMSE / spread", lower=True),
    "nmae": BuiltIn("MAE / spread", lower=True),
    "kappa": BuiltIn("quadratic kappa"),
    "accuracy": BuiltIn("accuracy"),
    "top3": BuiltIn("top 3"),
    "top5": BuiltIn("top 5"),
    "hit_rate": BuiltIn("hit rate"),
}
MONITORED = tuple(name for name, metric in METRICS.items() if metric.lower is not None)
COUNTS = ("rows", "positives", "base_rate")
AVERAGED = ("auc", "logloss", "nrmse", "accuracy")  # over tasks, too: no label's unit is in them
MACRO, BY_ROWS = "tasks.macro", "tasks.weighted"  # stand where a task does, whose name has no dot
MEANS: Mapping[str, str] = {MACRO: "the mean over tasks", BY_ROWS: "the mean over tasks by their rows"}


class MetricConfig(Config, ABC):
    """A metric of all tasks of a type, under the name `kind`: brier is brier_valid/ctr, and so on."""

    kind: str
    type: ClassVar[TaskType] = "binary"
    several: ClassVar[bool] = False  # whether it measures tasks with a list of labels, and no other
    higher_is_better: ClassVar[bool] = True

    def measures(self, task: Task) -> bool:
        """Whether it is a metric of this task."""
        return task.type == self.type and self.several != isinstance(task.label, str)

    @abstractmethod
    def measure(self, label: "np.ndarray", score: "np.ndarray") -> float | None:
        """From labels (N,) float64 and scores (N,) of the task's label space, N ≥ 1; None: undefined.

        A score is a probability, or a prediction in the label's unit. Of several classes a score is
        (N, K), of a retrieval task (N, 2 · top): classes, then their probabilities. Of several labels
        both are (N, C), with NaN for a label that is not known.
        """


Metric = Annotated[MetricConfig, Plugged("recmtl.metrics", MetricConfig, (*METRICS, *COUNTS))]


def shown(metric: str) -> str:
    """What people read for a metric: its own name, where it is a plug-in's."""
    return METRICS[metric].shown if metric in METRICS else metric


def is_higher_better(metric: str, own: Sequence[MetricConfig] = ()) -> bool:
    """The direction of a built-in metric, or of one of a plug-in's."""
    of_plugins = {each.kind: each.higher_is_better for each in own}
    return of_plugins[metric] if metric in of_plugins else not METRICS[metric].lower
