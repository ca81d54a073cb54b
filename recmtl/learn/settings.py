"""`[train]`: how every model of a file is trained."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from recmtl.learn.schedule import Schedule, Steps
from recmtl.schema import Config

BINARY_METRICS = ("auc", "logloss", "pcoc")
REGRESSION_METRICS = ("rmse", "mae", "r2")
LOWER_IS_BETTER = frozenset({"logloss", "rmse", "mae"})


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

    @field_validator("monitor")
    @classmethod
    def _names_a_metric(cls, value: str) -> str:
        metric, _, task = value.partition("_valid/")
        if metric not in (*BINARY_METRICS, *REGRESSION_METRICS) or not task:
            raise ValueError(
                f"{value!r}: the form is METRIC_valid/TASK with METRIC one of "
                + ", ".join((*BINARY_METRICS, *REGRESSION_METRICS))
            )
        if metric == "pcoc":
            raise ValueError("pcoc is best at 1, neither high nor low: monitor auc or logloss")
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
        """The monitored metric's name and task."""
        metric, _, task = self.monitor.partition("_valid/")
        return metric, task

    def metric_of(self, kind: Literal["binary", "regression"]) -> tuple[str, int]:
        """What tells whether a task of this type is better, and 1 where more is, −1 where less is.

        The monitored metric where it measures such tasks, else `auc` or `rmse`.
        """
        known = BINARY_METRICS if kind == "binary" else REGRESSION_METRICS
        metric = self.monitored[0] if self.monitored[0] in known else known[0]
        return metric, -1 if metric in LOWER_IS_BETTER else 1

    @property
    def higher_is_better(self) -> bool:
        return self.monitored[0] not in LOWER_IS_BETTER
