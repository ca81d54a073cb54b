"""Weights by the tasks' losses: their variances, how they changed from epoch to epoch, their rates."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from recmtl.learn.optim import AdamW
from recmtl.learn.settings import TrainConfig
from recmtl.learn.weighting.weigher import Weigher
from recmtl.schema.losses import LossConfig
from recmtl.schema.weighting import FAMO


class LearnedVariances(Weigher):
    """Σ weight · (c · e^−s · loss + s/2), s = log σ² a parameter of each task, 0 at first.

    c is 1 for a binary task and ½ for a regression. The best s of a constant loss L is log(2·c·L): then
    the factor is 1 / (2·L), whatever the loss's scale.

    Reference: Kendall et al., Multi-Task Learning Using Uncertainty to Weigh Losses, CVPR 2018.
    """

    def __init__(self, losses: Mapping[str, LossConfig]) -> None:
        super().__init__()
        self._tasks = tuple(losses)
        self.log_variances = nn.Parameter(torch.zeros(len(losses)))
        shares = [0.5 if loss.type == "regression" else 1.0 for loss in losses.values()]
        self.register_buffer("_shares", torch.tensor(shares), persistent=False)
        weights = torch.tensor([loss.weight for loss in losses.values()])
        self.register_buffer("_weights", weights, persistent=False)

    def factors(self) -> Mapping[str, Tensor]:
        factors = self.get_buffer("_shares") * torch.exp(-self.log_variances)
        return dict(zip(self._tasks, factors.unbind(), strict=True))

    def penalties(self) -> Mapping[str, Tensor]:
        return {"weighting.log_variances": (self.get_buffer("_weights") * self.log_variances).sum() / 2}

    def optimizers(self, config: TrainConfig) -> list[torch.optim.Optimizer]:
        return [AdamW([self.log_variances], config.learning_rate, weight_decay=0.0)]


class AveragedChanges(Weigher):
    """Factors K · softmax(r / T) of K tasks, r the quotient of a task's losses in the last two epochs.

    In the first two epochs all are 1. They follow from the epochs before: no state is theirs.

    Reference: Liu et al., End-to-End Multi-Task Learning with Attention, CVPR 2019.
    """

    def __init__(self, losses: Mapping[str, LossConfig], temperature: float) -> None:
        super().__init__()
        self._tasks, self._temperature = tuple(losses), temperature
        self.register_buffer("_factors", torch.ones(len(losses)), persistent=False)

    def factors(self) -> Mapping[str, Tensor]:
        return dict(zip(self._tasks, self.get_buffer("_factors").unbind(), strict=True))

    def begin(self, past: Sequence[Mapping[str, float]]) -> None:
        if len(past) < 2:
            return
        before, last = ([epoch[f"loss_train/{task}"] for task in self._tasks] for epoch in past[-2:])
        ratios = [new / old if old else 1.0 for old, new in zip(before, last, strict=True)]
        factors = torch.softmax(torch.tensor(ratios, dtype=torch.float64) / self._temperature, dim=0)
        # In place: a step that was recorded on a GPU reads the factors where they lie.
        self.get_buffer("_factors").copy_(factors * len(ratios))


class EqualRates(Weigher):
    """Factors T · (z_t / L_t) / Σ_s (z_s / L_s), z = softmax of learned logits: log losses fall alike.

    After a step the logits ξ take one of Adam's along Σ_t δ_t ∂z_t/∂ξ, δ_t = log L_t before it − log L_t
    after it, on the same batch. A loss of 0, as of a task without a row there, says nothing.

    Reference: Liu et al., FAMO: Fast Adaptive Multitask Optimization, NeurIPS 2023, algorithm 1.
    """

    reads = "losses"
    looks_back: ClassVar[bool] = True

    def __init__(self, tasks: Sequence[str], options: FAMO) -> None:
        super().__init__()
        self._tasks, self._options = tuple(tasks), options
        self.logits = nn.Parameter(torch.zeros(len(tasks)))
        self._optimizer: torch.optim.Optimizer | None = None
        self.register_buffer("_factors", torch.ones(len(tasks)))
        self.register_buffer("_losses", torch.zeros(len(tasks)), persistent=False)

    def weigh(self, losses: Tensor, gramian: Tensor | None) -> None:
        before = self.get_buffer("_losses").copy_(losses)
        with torch.no_grad():
            alive = before > 0
            shares = torch.where(alive, self.logits.softmax(0) / before, 0.0)
            factors = torch.where(alive, alive.sum() * shares / shares.sum(), 1.0)
            self.get_buffer("_factors").copy_(factors)

    def look_back(self, losses: Tensor) -> None:
        before = self.get_buffer("_losses")
        fallen = torch.where((before > 0) & (losses > 0), before.log() - losses.log(), 0.0)
        assert self._optimizer is not None
        (self.logits.softmax(0) * fallen).sum().backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def factors(self) -> Mapping[str, Tensor]:
        return dict(zip(self._tasks, self.get_buffer("_factors").unbind(), strict=True))

    def optimizers(self, config: TrainConfig) -> list[torch.optim.Optimizer]:
        """Among the others it finds no gradient; it is there so that checkpoints hold its state."""
        own = self.logits
        self._optimizer = torch.optim.Adam(
            [own], self._options.learning_rate, weight_decay=self._options.decay, fused=True,
            capturable=own.is_cuda,
        )
        return [self._optimizer]
