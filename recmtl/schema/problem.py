"""What ingest, check and encode need to know of a problem: everything but the models."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, field_validator, model_validator

from recmtl.errors import RecmtlError, nearest
from recmtl.schema.config import Config, expand
from recmtl.schema.contract import Contract
from recmtl.schema.features import Feature, Numeric, has_wildcard
from recmtl.schema.rates import Count, Rate
from recmtl.schema.source import Data
from recmtl.schema.tasks import Task


class Problem(Config):
    """A log, its labels, features and tasks. `root` is the folder that paths are relative to."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    data: Data
    labels: dict[str, str] = Field(min_length=1)
    features: dict[str, Feature] = Field(min_length=1)
    tasks: dict[str, Task] = Field(min_length=1)
    contract: Contract = Contract()
    root: Path = Field(default=Path(), exclude=True)

    def path(self, path: str) -> str:
        """A path of the file, with variables and the file's folder filled in."""
        return expand(path, self.root)

    @property
    def spill(self) -> Path | None:
        """The folder for what does not fit into DuckDB's memory; None is the system's."""
        return Path(self.path(self.data.spill)) if self.data.spill else None

    def known_at(self, as_of: str | None) -> Self:
        """The same problem with what was known at another time; None leaves it as it is.

        Raises RecmtlError where `as_of` is no time, or impressions have none.
        """
        if as_of is None:
            return self
        try:
            data = Data.model_validate({**self.data.model_dump(), "as_of": as_of})
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise RecmtlError(reason, where="as_of", found=as_of) from None
        return self.model_copy(update={"data": data})

    @field_validator("tasks")
    @classmethod
    def _tasks_have_plain_names(cls, tasks: dict[str, Task]) -> dict[str, Task]:
        for name in tasks:  # it is part of a metric's and of a weight's name, which dots and slashes part
            if not re.fullmatch(r"\w[\w-]*", name):
                raise ValueError(f"{name!r} is no name: letters, digits, _ and -")
        return tasks

    @model_validator(mode="after")
    def _tasks_name_labels_and_tasks(self) -> "Problem":
        for name, task in self.tasks.items():
            for label in filter(None, (*task.labels, task.given)):
                if label not in self.labels:
                    raise ValueError(f"tasks.{name}: no label {label!r}; {nearest(label, self.labels)}")
            for factor in task.product:
                if factor not in self.tasks:
                    raise ValueError(f"tasks.{name}: no task {factor!r}; {nearest(factor, self.tasks)}")
            check_chain(name, task, self.tasks)
        return self

    @model_validator(mode="after")
    def _listed_classes_agree(self) -> "Problem":
        """A label of listed values is the number of one in the examples, for all that read it."""
        listed = {
            label: (name, task.classes) for name, task in self.tasks.items()
            if isinstance(task.classes, tuple) for label in task.labels
        }
        for name, task in self.tasks.items():
            for label in task.labels:
                other, classes = listed.get(label, (name, task.classes))
                if classes != task.classes:
                    raise ValueError(f"tasks.{name}: tasks.{other} lists other classes of {label!r}")
            if task.given in listed:
                raise ValueError(f"tasks.{name}: given = {task.given!r} must be 0 or 1, it has classes")
        return self

    @model_validator(mode="after")
    def _durations_are_numbers(self) -> "Problem":
        for name, task in self.tasks.items():
            feature = self.features.get(task.duration or "")
            if task.duration and (feature is None or has_wildcard(task.duration)):
                numbers = [n for n, f in self.features.items() if isinstance(f, Numeric)]
                raise ValueError(
                    f"tasks.{name}: duration = {task.duration!r} names no feature: give it a line of "
                    f"its own in [features]; {nearest(task.duration, numbers)}"
                )
            if feature is not None and not isinstance(feature, Numeric):
                raise ValueError(
                    f"tasks.{name}: duration = {task.duration!r} must be a numeric feature, "
                    f"it is {feature.kind}"
                )
        return self

    @model_validator(mode="after")
    def _shares_exist(self) -> "Problem":
        for name, feature in self.features.items():
            share = getattr(feature, "share", None)
            if share is None:
                continue
            if share not in self.features or getattr(self.features[share], "share", None):
                raise ValueError(
                    f"features.{name}: share = {share!r} must name a feature with its own vocabulary; "
                    f"{nearest(share, self.features)}"
                )
        return self

    @model_validator(mode="after")
    def _embeddings_are_of_one_feature(self) -> "Problem":
        for name, feature in self.features.items():
            if getattr(feature, "init", None) and has_wildcard(name):
                raise ValueError(f"features.{name}: init is of one feature: no pattern")
        return self

    @model_validator(mode="after")
    def _rates_read_labels_of_days(self) -> "Problem":
        for name, feature in self.features.items():
            if not isinstance(feature, Rate | Count):
                continue
            for label in (feature.label, getattr(feature, "given", None)):
                if label and label not in self.labels:
                    hint = nearest(label, self.labels)
                    raise ValueError(f"features.{name}: no label {label!r}; {hint}")
            if not (self.data.impressions.day or self.data.impressions.time):
                raise ValueError(
                    f"features.{name}: a {feature.kind} counts earlier days: "
                    "name impressions.day or impressions.time"
                )
            if has_wildcard(name):
                raise ValueError(f"features.{name}: a {feature.kind} is one feature: no pattern")
        return self

    def forbidden(self, label_columns: Mapping[str, str], columns: tuple[str, ...]) -> dict[str, str]:
        """Columns that must not be features, with the reason: label inputs and outcomes.

        `label_columns` maps a column to the label that reads it; `columns` are those of the log.
        """
        reasons = {
            c: "an outcome ([data] outcomes)"
            for c in columns if any(fnmatchcase(c, pattern) for pattern in self.data.outcomes)
        }
        reasons |= {
            column: f"an outcome ([data.events.{name}])"
            for name, event in self.data.events.items() for column in event.columns(name)
        }
        reasons |= {label: f"the label {label!r} itself" for label in self.labels if label not in columns}
        reasons |= {c: f"an input of the label {label!r}" for c, label in label_columns.items()}
        return reasons


def check_chain(name: str, task: Task, tasks: Mapping[str, Task]) -> None:
    """A product is a chain: each factor is conditioned on the label before it, the last has the label.

    E.g. ctcvr = ctr · cvr, where cvr is given the label of ctr and predicts the label of ctcvr.
    """
    if not task.product or not all(factor in tasks for factor in task.product):
        return
    factors = [tasks[f] for f in task.product]
    if any(f.type != "binary" or f.product for f in factors):
        raise ValueError(f"tasks.{name}: every factor of a product is a binary task with its own tower")
    if factors[0].given is not None:
        raise ValueError(f"tasks.{name}: the first factor {task.product[0]!r} must have no given")
    for before, factor, label in zip(factors, factors[1:], task.product[1:], strict=False):
        if factor.given != before.label:
            raise ValueError(
                f"tasks.{name}: {label!r} must have given = {before.label!r}, the label before it"
            )
    if factors[-1].label != task.label:
        raise ValueError(
            f"tasks.{name}: the last factor {task.product[-1]!r} must have the label {task.label!r}"
        )
