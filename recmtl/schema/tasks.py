"""A task: which label it predicts, on which rows, as what."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from recmtl.schema.config import Config

TaskType = Literal[
    "binary", "regression", "multiclass", "multilabel", "ordinal", "watch_time", "retrieval",
]


SCORED = 1000  # numbers in the score of a row at most: those of all rows of valid lie in memory


@dataclass(frozen=True)
class Takes:
    """What a type takes in a file: one label or a list, how many classes, keys of its own."""

    one: bool = True
    several: bool = False
    classes: int = 0  # at least
    most: int = 0
    keys: tuple[str, ...] = ()


TYPES: Mapping[TaskType, Takes] = {
    "binary": Takes(),
    "regression": Takes(several=True, keys=("log",)),
    "multiclass": Takes(classes=2, most=SCORED, keys=("classes",)),
    "multilabel": Takes(one=False, several=True, keys=("missing",)),
    "ordinal": Takes(classes=3, most=SCORED, keys=("classes",)),
    "watch_time": Takes(keys=("duration",)),
    "retrieval": Takes(classes=2, most=1 << 24, keys=("classes", "top")),  # as float32 tells apart
}


class Task(Config):
    """One line of `[tasks]`.

    `given` restricts the label space: loss and every metric use the rows where that label is 1 and
    the task's own label is not null. `product` declares that the task's probability is the product
    of other tasks' (ESMM: CTCVR = CTR · CVR).
    """

    label: str | tuple[str, ...] = Field(description="the name of a label, or of several")
    type: TaskType = "binary"
    given: str | None = None
    product: tuple[str, ...] = Field(default=(), description="tasks whose product this task is")
    # Files that do not name these keys keep their digest.
    classes: int | tuple[str | int, ...] | None = Field(
        default=None, description="how many (the label is 0, 1, …), or the label's values in their order",
        exclude_if=lambda value: value is None,
    )
    log: bool = Field(
        default=False, description="predict log1p of the label", exclude_if=lambda value: not value,
    )
    top: int | None = Field(
        default=None, ge=1, description="of how many classes, the likeliest, the score is",
        exclude_if=lambda value: value is None,
    )
    missing: Literal["unknown", "negative"] | None = Field(
        default=None, description="what a null among several labels means; without it, unknown",
        exclude_if=lambda value: value is None,
    )
    duration: str | None = Field(
        default=None, description="the numeric feature that is how long a row's item lasts",
        exclude_if=lambda value: value is None,
    )

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it predicts, in their order."""
        return (self.label,) if isinstance(self.label, str) else self.label

    @property
    def class_count(self) -> int:
        """How many classes its label has; 0 where it is of none."""
        return self.classes if isinstance(self.classes, int) else len(self.classes or ())

    @model_validator(mode="after")
    def _type_takes_it(self) -> "Task":
        for key in dict.fromkeys(key for takes in TYPES.values() for key in takes.keys):
            if getattr(self, key) not in (None, False) and key not in TYPES[self.type].keys:
                types = " and ".join(name for name, takes in TYPES.items() if key in takes.keys)
                raise ValueError(f"{key}: a key of {types} tasks, this one is {self.type}")
        return self

    @model_validator(mode="after")
    def _labels_are_as_many_as_it_takes(self) -> "Task":
        takes, one = TYPES[self.type], isinstance(self.label, str)
        if one and not takes.one:
            raise ValueError(f'label: type = {self.type!r} takes a list of them, e.g. ["like", "share"]')
        if not one and not takes.several:
            raise ValueError(f"label: type = {self.type!r} takes one label, a name in quotes")
        if not one and len(set(self.label)) < max(2, len(self.label)):
            raise ValueError("label: a list names two labels or more, each once")
        return self

    @model_validator(mode="after")
    def _classes_are_told(self) -> "Task":
        takes = TYPES[self.type]
        least = takes.classes
        if self.class_count > takes.most > 0:
            more = [name for name, other in TYPES.items() if other.most > takes.most]
            raise ValueError(
                f"classes: type = {self.type!r} takes {takes.most:,} at most, found {self.class_count:,}"
                + "".join(f"; type = {name!r} takes more" for name in more)
            )
        if self.class_count < least:
            raise ValueError(
                f"classes: type = {self.type!r} needs {least} or more: classes = 5 of a label from 0 to 4"
                ', or its values in their order, classes = ["skip", "look", "like"]'
            )
        listed = self.classes if isinstance(self.classes, tuple) else ()
        if len(set(listed)) < len(listed):
            raise ValueError("classes: a value stands there twice")
        if len({isinstance(value, str) for value in listed}) > 1:
            raise ValueError("classes: texts or whole numbers, not both")
        return self

    @model_validator(mode="after")
    def _top_is_a_part_of_the_classes(self) -> "Task":
        most = min(self.class_count - 1, SCORED // 2)  # a class and its probability each
        if "top" in TYPES[self.type].keys and not 1 <= (self.top or 0) <= most:
            raise ValueError(
                f"top: type = {self.type!r} scores the likeliest of its classes: 1 to {most}, top = 50"
            )
        return self

    @model_validator(mode="after")
    def _product_holds(self) -> "Task":
        if self.product and self.type != "binary":
            raise ValueError("product joins probabilities: type must be binary")
        if self.product and self.given:
            raise ValueError("a product lives on all rows: it takes no given")
        if len(self.product) == 1:
            raise ValueError("a product needs two tasks or more")
        return self
