"""What every weigher is: factors of the weights in the file, which change while a model is trained."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from recmtl.learn.settings import TrainConfig
from recmtl.schema.weighting import Place


class Weigher(nn.Module):
    """Leaves the weights of the file as they are. Others move them by what the losses do.

    Where it is told losses, they are weight · loss, the weight being the file's. In a group of processes
    all are told the same, and then have the first one's buffers.
    """

    # What it is told at each step: losses, and gradients in one of two places. On a GPU no such step is
    # recorded: the host takes part in it.
    reads: Literal["losses"] | Place | None = None
    looks_back: ClassVar[bool] = False  # whether it is told the losses after the step, too

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> None:
        """A step begins: losses (T,), and the inner products (T, T) of gradients where it reads them."""

    def look_back(self, losses: Tensor) -> None:
        """The step is taken: the losses (T,) of its batch now."""

    def factors(self) -> Mapping[str, Tensor]:
        """task → what its weight is multiplied by in this step, a scalar."""
        return {}

    def penalties(self) -> Mapping[str, Tensor]:
        """Named scalars that are added to the loss; no task's name has a dot."""
        return {}

    def begin(self, past: Sequence[Mapping[str, float]]) -> None:
        """An epoch begins; `past` holds the metrics of those before it."""

    def optimizers(self, config: TrainConfig) -> list[torch.optim.Optimizer]:
        """What moves parameters of its own, where it has them."""
        return []
