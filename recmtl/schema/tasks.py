"""A task: which label it predicts, on which rows, as what."""

from typing import Literal

from pydantic import Field, model_validator

from recmtl.schema.config import Config

TaskType = Literal["binary", "regression"]


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

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it predicts, in their order."""
        return (self.label,) if isinstance(self.label, str) else self.label

    @model_validator(mode="after")
    def _consistent(self) -> "Task":
        if not isinstance(self.label, str):
            raise ValueError(f"label: a {self.type} task has one label, a name in quotes")
        if self.product and self.type != "binary":
            raise ValueError("product joins probabilities: type must be binary")
        if self.product and self.given:
            raise ValueError("a product lives on all rows: it takes no given")
        if len(self.product) == 1:
            raise ValueError("a product needs two tasks or more")
        return self
