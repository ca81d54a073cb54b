"""`[train]`: how every model of a file is trained."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from recmtl.heads import head_of
from recmtl.learn.schedule import Schedule, Steps
from recmtl.schema import Config, Task
from recmtl.schema.metrics import METRICS, MONITORED, Metric, is_higher_better


class TrainConfig(Config):
    """The schedule, the optimizers and the seeds."""

    epochs: int = Field(default=3, ge=1)
    batch_size: int = Field(default=4096, ge=1, description="of each process")
    processes: int = Field(default=1, ge=1, description="that train a model together on this machine")
    sharded_tables: Literal["planned", "row_wise", "table_wise"] | None = Field(
        default=None, description="each process holds a part of the tables: as TorchRec plans, or so"
    )
    learning_rate: float = Field(default=1e-3, gt=0.0, description="AdamW, on the dense part")
    weight_decay: float = Field(default=0.0, ge=0.0, description="AdamW's, on the dense part")
    table_learning_rate: float = Field(default=0.05, gt=0.0, description="row-wise Adagrad, on tables")
    table_l2: float = Field(default=0.0, ge=0.0, description="on the rows that a batch touches")
    schedule: Schedule | None = Field(
        default=None, description="of both learning rates over the steps; without, they stay as they are",
        exclude_if=lambda value: value is None,  # files that do not name it keep their digest
    )
    metrics: tuple[Metric, ...] = Field(
        default=(), description="measured beside the built-in ones: those of plug-ins",
        exclude_if=lambda value: not value,  # files that do not name it keep their digest
    )
    monitor: str = Field(description="metric on valid that picks epochs and champion: auc_valid/ctcvr")
    patience: int = Field(default=1, ge=1, description="epochs without a better monitor before a stop")
    task_patience: int | None = Field(
        default=None, ge=1, description="epochs in which a task is not better before it stops",
        exclude_if=lambda value: value is None,
    )
    seeds: tuple[int, ...] = Field(default=(1,), min_length=1, description="each model, once a seed")
    checkpoint_steps: int = Field(
        default=200, ge=1, description="least steps between two checkpoints of a run"
    )
    precision: Literal["fp32", "bf16"] = "fp32"
    deterministic: bool = Field(
        default=False, description="on a GPU: sums in one order, so that two runs are equal, but slower"
    )

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"{list(value)}: a seed stands there twice")
        return value

    @field_validator("metrics")
    @classmethod
    def _metrics_differ(cls, value: tuple[Metric, ...]) -> tuple[Metric, ...]:
        names = [metric.kind for metric in value]
        if len(set(names)) < len(names):
            raise ValueError(f"{', '.join(names)}: a metric stands there twice")
        return value

    @field_validator("monitor")
    @classmethod
    def _names_a_metric(cls, value: str, info: ValidationInfo) -> str:
        metric, _, task = value.partition("_valid/")
        own = [each.kind for each in info.data.get("metrics", ())]
        if metric not in (*METRICS, *own) or not task:
            known = ", ".join((*MONITORED, *own))
            raise ValueError(f"{value!r}: the form is METRIC_valid/TASK with METRIC one of {known}")
        if metric not in (*MONITORED, *own):
            raise ValueError(f"{metric} is best at 1, neither high nor low: monitor auc or logloss")
        return value

    @model_validator(mode="after")
    def _schedule_fits(self) -> "TrainConfig":
        if self.schedule and self.sharded_tables:
            raise ValueError("schedule: sharded tables keep their learning rate; drop one of the two")
        if isinstance(self.schedule, Steps) and self.schedule.epochs[-1] >= self.epochs:
            last = self.schedule.epochs[-1]
            raise ValueError(f"schedule.epochs: nothing is trained after epoch {last} of {self.epochs}")
        return self

    @property
    def monitored(self) -> tuple[str, str]:
        """The monitored metric's name and its task, or which mean over tasks it is."""
        metric, _, task = self.monitor.partition("_valid/")
        return metric, task

    def metric_of(self, task: Task) -> tuple[str, int]:
        """What tells whether a task is better, and 1 where more is, −1 where less is.

        The monitored metric where it measures the task, else that which its type is judged by.
        """
        known = self.measuring(task)
        metric = self.monitored[0] if self.monitored[0] in known else known[0]
        return metric, 1 if is_higher_better(metric, self.metrics) else -1

    @property
    def higher_is_better(self) -> bool:
        return is_higher_better(self.monitored[0], self.metrics)

    def measuring(self, task: Task) -> tuple[str, ...]:
        """The metrics of a task, that which it is judged by first; then those of plug-ins."""
        own, head = [metric.kind for metric in self.metrics if metric.measures(task)], head_of(task)
        return (*head.metrics, *head.within, *own)
