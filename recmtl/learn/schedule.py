"""Learning rates over a fit: a factor of those in the file, from the number of steps taken."""

import math
from abc import ABC, abstractmethod
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator

from recmtl.schema import Config


class ScheduleConfig(Config, ABC):
    """What all schedules have: a warm-up (Goyal et al. 2017). They hold no state: steps say it all."""

    warmup: int = Field(default=0, ge=0, description="steps in which rates rise, evenly, to their height")

    def factor(self, done: int, epoch_steps: int, epochs: int) -> float:
        """Of the step after `done` steps of a fit that has so many epochs of so many steps."""
        rise = (done + 1) / self.warmup if done < self.warmup else 1.0
        return rise * self.height(done, epoch_steps, epochs)

    @abstractmethod
    def height(self, done: int, epoch_steps: int, epochs: int) -> float:
        """The same but for the warm-up."""


class Constant(ScheduleConfig):
    """A warm-up alone."""

    kind: Literal["constant"] = "constant"

    def height(self, done: int, epoch_steps: int, epochs: int) -> float:
        return 1.0


class Cosine(ScheduleConfig):
    """Half a cosine from 1, after the warm-up, to `floor` at the last epoch's end.

    Reference: Loshchilov and Hutter, SGDR, ICLR 2017, without restarts.
    """

    kind: Literal["cosine"] = "cosine"
    floor: float = Field(default=0.0, ge=0.0, le=1.0, description="what the rates fall to")

    def height(self, done: int, epoch_steps: int, epochs: int) -> float:
        if done < self.warmup:
            return 1.0
        share = (done - self.warmup) / (epoch_steps * epochs - self.warmup)
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * share)) / 2


class Steps(ScheduleConfig):
    """Multiplied by `decay` after each of some epochs."""

    kind: Literal["steps"] = "steps"
    epochs: tuple[PositiveInt, ...] = Field(min_length=1, description="after which the rates fall")
    decay: float = Field(default=0.1, gt=0.0, lt=1.0, description="to what part of what they were")

    @field_validator("epochs")
    @classmethod
    def _epochs_rise(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(later <= epoch for epoch, later in pairwise(value)):
            raise ValueError(f"{list(value)}: epochs rise from one to the next")
        return value

    def height(self, done: int, epoch_steps: int, epochs: int) -> float:
        return self.decay ** sum(done >= epoch * epoch_steps for epoch in self.epochs)


Schedule = Annotated[Constant | Cosine | Steps, Field(discriminator="kind")]
