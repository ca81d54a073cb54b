"""What moves the weights of tasks' losses while a model is trained, as a file names it."""

from typing import Annotated, Literal

from pydantic import Field

from recmtl.schema.config import Config


class Uncertainty(Config):
    """Weights by each task's variance, which is learned with the model (Kendall et al., CVPR 2018)."""

    kind: Literal["uncertainty"] = "uncertainty"


class DynamicAverage(Config):
    """Dynamic weight averaging: more to tasks whose loss fell less (Liu et al., CVPR 2019)."""

    kind: Literal["dwa"] = "dwa"
    temperature: float = Field(default=2.0, gt=0.0, description="the higher, the more equal")


WeightingConfig = Annotated[Uncertainty | DynamicAverage, Field(discriminator="kind")]
