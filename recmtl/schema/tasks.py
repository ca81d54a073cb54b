"""A task: which label it predicts, on which rows, as what."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from recmtl.schema.config import Config

TaskType = Literal["binary", "regression", "multiclass", "multilabel", "ordinal", "watch_time"]
OPTIONS: Mapping[str, tuple[str, ...]] = {  # keys that some types take, and no other
    "classes": ("multiclass", "ordinal"), "log": ("regression",), "missing": ("multilabel",),
}
SEVERAL = ("regression", "multilabel")  # types whose tasks may have a list of labels


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
    classes: int | tuple[str | int, ...] | None = Field(
        default=None, description="how many (the label is 0, 1, …), or the label's values in their order",
        exclude_if=lambda value: value is None,  # files that do not name it keep their digest
    )

    log: bool = Field(
        default=False, description="predict log1p of the label", exclude_if=lambda value: not value,
    )

    missing: Literal["unknown", "negative"] | None = Field(
        default=None, description="what a null among several labels means; without it, unknown",
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
        for key, types in OPTIONS.items():
            if getattr(self, key) not in (None, False) and self.type not in types:
                raise ValueError(f"{key}: a key of {' and '.join(types)} tasks, this one is {self.type}")
        return self

    @model_validator(mode="after")
    def _labels_are_as_many_as_it_takes(self) -> "Task":
        if isinstance(self.label, str):
            if self.type == "multilabel":
                raise ValueError('label: a multilabel task has a list of them, e.g. ["like", "share"]')
            return self
        if self.type not in SEVERAL:
            raise ValueError(f"label: type = {self.type!r} takes one label, a name in quotes")
        if len(set(self.label)) < max(2, len(self.label)):
            raise ValueError("label: a list names two labels or more, each once")
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

    @model_validator(mode="after")
    def _classes_are_told(self) -> "Task":
        if self.type not in OPTIONS["classes"]:
            return self
        if self.class_count < 2:
            raise ValueError(
                f"classes: type = {self.type!r} needs two or more: classes = 5 of a label from 0 to 4, "
                'or its values in their order, classes = ["skip", "like"]'
            )
        if self.type == "ordinal" and self.class_count == 2:
            raise ValueError("classes: two have no order: drop type and classes, the task is binary")
        listed: tuple[Any, ...] = self.classes if isinstance(self.classes, tuple) else ()
        if len(set(listed)) < len(listed):
            raise ValueError("classes: a value stands there twice")
        if len({type(value) for value in listed}) > 1:
            raise ValueError("classes: texts or whole numbers, not both")
        return self
