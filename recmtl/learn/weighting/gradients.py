"""Weights by the tasks' gradients: what their inner products ask for, and norms that are held equal."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recmtl.learn.optim import AdamW
from recmtl.learn.settings import TrainConfig
from recmtl.learn.weighting.weigher import Weigher
from recmtl.schema.weighting import GradNorm, Place

Array = NDArray[Any]  # of float64
Method = Callable[[Array], Array]


class Balanced(Weigher):
    """Factors that a method reads off the Gramian of the tasks' gradients, anew at each step.

    A task without a gradient in a batch, as one whose label space has no row there, has no say in it and
    the factor 1, and so has one that is left alone. A Gramian that is not finite changes nothing.
    """

    def __init__(self, tasks: Sequence[str], on: Place, method: Method) -> None:
        super().__init__()
        self.reads, self._tasks, self._method = on, tuple(tasks), method
        self.register_buffer("_factors", torch.ones(len(tasks)))

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> None:
        assert gramian is not None
        found = gramian.double().cpu().numpy()
        if not np.isfinite(found).all():
            return
        factors, alive = np.ones(len(found)), found.diagonal() > 0
        if alive.sum() > 1:
            part = found[alive][:, alive]
            factors[alive] = self._method(part / part.diagonal().mean())
        self.get_buffer("_factors").copy_(torch.from_numpy(factors))

    def factors(self) -> Mapping[str, Tensor]:
        return dict(zip(self._tasks, self.get_buffer("_factors").unbind(), strict=True))


class EqualNorms(Weigher):
    """Learned weights w under which |w_t g_t| is mean · r_t^α, r_t being how far a task is behind.

    r_t is L_t / L_t(0) over its mean over tasks; L_t(0) is the task's first loss. w moves by the gradient
    of Σ |w_t |g_t| − target_t|, targets taken as constants, and is scaled to a mean of 1 after each step.
    A task without a gradient has no say in it.

    Reference: Chen et al., GradNorm, ICML 2018.
    """

    def __init__(self, tasks: Sequence[str], options: GradNorm) -> None:
        super().__init__()
        self.reads, self._tasks, self._options = options.on, tuple(tasks), options
        self.weights = nn.Parameter(torch.ones(len(tasks)))
        self.register_buffer("_first", torch.zeros(len(tasks)))
        self.register_buffer("_norms", torch.zeros(len(tasks)), persistent=False)
        self.register_buffer("_targets", torch.zeros(len(tasks)), persistent=False)

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> None:
        assert gramian is not None
        first = self.get_buffer("_first")
        with torch.no_grad():
            self.weights.copy_(self._scaled())
            first.copy_(torch.where(first > 0, first, losses))
            left = torch.where(first > 0, losses / first, 1.0)
            norms = self.get_buffer("_norms").copy_(gramian.diagonal().clamp(min=0.0).sqrt())
            alive = norms > 0
            behind = left / left[alive].mean()
            targets = (self.weights * norms)[alive].mean() * behind**self._options.alpha
            self.get_buffer("_targets").copy_(torch.where(alive, targets, 0.0))

    def factors(self) -> Mapping[str, Tensor]:
        return dict(zip(self._tasks, self._scaled().unbind(), strict=True))

    def penalties(self) -> Mapping[str, Tensor]:
        apart = self.weights * self.get_buffer("_norms") - self.get_buffer("_targets")
        return {"weighting.norms": apart.abs().sum()}

    def optimizers(self, config: TrainConfig) -> list[torch.optim.Optimizer]:
        return [AdamW([self.weights], self._options.learning_rate, weight_decay=0.0)]  # plain Adam

    def _scaled(self) -> Tensor:
        positive = self.weights.detach().clamp(min=1e-6)
        return positive / positive.mean()
