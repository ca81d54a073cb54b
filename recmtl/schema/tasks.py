"""A task: which label it predicts, on which rows, as what."""

from typing import Literal

from pydantic import Field, model_validator

from recmtl.schema.config import Config


class Task(Config):
    """One line of `[tasks]`.

    `given` restricts the label space: loss and every metric use the rows where that label is 1 and
    the task's own label is not null. `product` declares that the task's probability is the product
    of other tasks' (ESMM: CTCVR = CTR · CVR).
    """

    label: str
    type: Literal["binary", "regression"] = "binary"
    given: str | None = None
    product: tuple[str, ...] = Field(default=(), description="tasks whose product this task is")

    @model_validator(mode="after")
    def _consistent(self) -> "Task":
        if self.product and self.type != "binary":
            raise ValueError("product joins probabilities: type must be binary")
        if self.product and self.given:
            raise ValueError("a product lives on all rows: it takes no given")
        if len(self.product) == 1:
            raise ValueError("a product needs two tasks or more")
        return self
