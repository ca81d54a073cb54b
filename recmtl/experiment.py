"""A whole run as one frozen value, read from one TOML file, with every cross-check."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from recmtl.errors import RecmtlError, nearest
from recmtl.folder import digest
from recmtl.heads import head_of
from recmtl.learn import TrainConfig
from recmtl.learn.metrics import averaged
from recmtl.model import EmbeddingConfig, ModelConfig
from recmtl.plugins import classes_of
from recmtl.schema import Problem
from recmtl.schema.features import embedding_widths, is_list
from recmtl.schema.losses import LossConfig
from recmtl.schema.metrics import AVERAGED, MEANS


class Experiment(Problem):
    """A problem, the models to compare on it, and how they are trained."""

    embedding: EmbeddingConfig = EmbeddingConfig()
    models: dict[str, ModelConfig] = Field(min_length=1)
    train: TrainConfig

    @classmethod
    def read(cls, file: str | Path) -> "Experiment":
        """Read and check a TOML file. Raises RecmtlError naming file, key and the nearest right key."""
        path = Path(file)
        try:
            content = tomllib.loads(path.read_text())
        except OSError as error:
            raise RecmtlError(f"cannot be read: {error.strerror}", where=path) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecmtlError(f"is not TOML: {error}", where=path) from error
        return cls.parse(content, root=path.absolute().parent, name=str(path))

    @classmethod
    def parse(cls, content: dict[str, Any], root: Path, name: str = "configuration") -> "Experiment":
        """The same from a dict; `root` is the folder that paths are relative to."""
        try:
            return cls.model_validate({**content, "root": root})
        except ValidationError as error:
            raise _explain(error, name) from None

    @property
    def digest(self) -> str:
        """Equal for equal configurations, wherever they lie: paths are taken unexpanded."""
        return digest(json.loads(self.model_dump_json()))

    @field_validator("models")
    @classmethod
    def _models_have_plain_names(cls, models: dict[str, ModelConfig]) -> dict[str, ModelConfig]:
        for name in models:  # it names a folder
            if not re.fullmatch(r"\w[\w.-]*", name):
                raise ValueError(f"{name!r} is no name: letters, digits, _, - and .")
        return models

    @model_validator(mode="after")
    def _models_serve_the_tasks(self) -> "Experiment":
        widths = embedding_widths(self.features, self.embedding.width)
        lists = {name for name, feature in self.features.items() if is_list(feature)}
        for name, model in self.models.items():
            reason = model.refusal(self.tasks) or model.misreads(widths, lists)
            reason = reason or model.sharing.refusal(model.towers_for(self.tasks), tuple(self.features))
            if reason:
                raise ValueError(f"models.{name}: {reason}")
        return self

    @model_validator(mode="after")
    def _models_can_be_trained_so(self) -> "Experiment":
        train, embeds = self.train, any(hasattr(feature, "width") for feature in self.features.values())
        for name, model in self.models.items():
            own = model.effective_tables == "per_task"
            reasons = [
                model.weighting and model.weighting.refusal(embeds, own, train.processes),
                model.freeze and model.freeze.refusal(
                    model.towers_for(self.tasks), train.epochs, train.sharded_tables is not None
                ),
                model.turns_refusal(train.sharded_tables is not None, train.table_l2),
            ]
            for reason in filter(None, reasons):
                raise ValueError(f"models.{name}: {reason}")
        return self

    @model_validator(mode="after")
    def _rows_that_are_ranked_are_held_together(self) -> "Experiment":
        for name, model in self.models.items():
            for task, loss in model.loss.items():
                if isinstance(loss, LossConfig) and loss.ranking and not self.data.together:
                    raise ValueError(
                        f"models.{name}: loss.{task}.ranking: a batch of train hardly ever has two rows "
                        "of a user: name the column of the user or request in data.together"
                    )
        return self

    @model_validator(mode="after")
    def _tables_can_be_sharded(self) -> "Experiment":
        widths: dict[str, int | None] = {"embedding.width": self.embedding.width}
        widths |= {f"features.{n}.width": getattr(f, "width", None) for n, f in self.features.items()}
        for name, feature in self.features.items():
            if self.train.sharded_tables and getattr(feature, "init", None):
                raise ValueError(f"train.sharded_tables: their rows are drawn; drop features.{name}.init")
        odd = {key: width for key, width in widths.items() if width and width % 4}
        if self.train.sharded_tables and odd:
            key, width = next(iter(odd.items()))
            raise ValueError(
                f"train.sharded_tables: {key} = {width}; TorchRec takes widths that are multiples of 4"
            )
        return self

    @model_validator(mode="after")
    def _monitor_is_reported(self) -> "Experiment":
        metric, task = self.train.monitored
        if task in MEANS:
            return self._mean_is_reported(metric)
        if task not in self.tasks:
            raise ValueError(f"train.monitor: no task {task!r}; {nearest(task, [*self.tasks, *MEANS])}")
        if metric not in self.train.measuring(self.tasks[task]):
            raise ValueError(f"train.monitor: {metric!r} does not measure a {self.tasks[task].type} task")
        if metric in head_of(self.tasks[task]).within and not self.data.together:
            raise ValueError(
                f"train.monitor: {metric} is within users or requests: name their column in data.together"
            )
        return self._models_report(task)

    def _mean_is_reported(self, metric: str) -> "Experiment":
        means = averaged(self.tasks)
        if metric not in means:
            raise ValueError(
                f"train.monitor: {metric!r} has no mean over these tasks; found one of "
                f"{', '.join(means) or 'nothing'}. There is one of {', '.join(AVERAGED)} where two tasks "
                "or more are judged by it, and of accuracy where they have it"
            )
        for task in means[metric]:
            self._models_report(task)
        return self

    def _models_report(self, task: str) -> "Experiment":
        for name, model in self.models.items():
            if task not in model.reports(self.tasks):
                raise ValueError(
                    f"models.{name}: it neither trains nor derives {task!r}, which train.monitor reads"
                )
        return self


def _explain(error: ValidationError, name: str) -> RecmtlError:
    """One line a mistake: key, reason and, for an unknown key or kind, the nearest right one."""
    lines = []
    for item in error.errors():
        keys = [str(key) for key in item["loc"] if not str(key).startswith("function-")]
        if item["type"] == "extra_forbidden":
            lines.append(f"{'.'.join(keys)}: unknown key; {nearest(keys[-1], _siblings(item['loc']))}")
            continue
        if item["type"] == "union_tag_invalid":
            kind, kinds = item["ctx"]["tag"], re.findall(r"'(\w+)'", item["ctx"]["expected_tags"])
            lines.append(f"{'.'.join(keys)}: no kind {kind!r}; {nearest(kind, kinds)}")
            continue
        message = item["msg"].removeprefix("Value error, ")
        where = ".".join(keys)
        lines.append(f"{where}: {message}" if where else message)
    return RecmtlError("\n".join(lines), where=name)


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    """The keys allowed where an unknown one was found, by walking the configuration's classes."""
    kinds: list[Any] = [Experiment]
    for key in location[:-1]:
        kinds = [k for kind in kinds for k in _step(kind, key)] or kinds
    return sorted({f for k in kinds for f in k.model_fields if f != "root"})


def _step(kind: type[BaseModel], key: int | str) -> list[type[BaseModel]]:
    """The classes that a value under `key` may have; a dict's key or a union's tag narrows nothing."""
    if key in kind.model_fields:
        return classes_of(kind.model_fields[str(key)].annotation)
    tag = kind.model_fields.get("kind")
    if kind.__name__ == key or (tag is not None and tag.default == key):
        return [kind]
    return []
