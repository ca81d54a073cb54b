"""Weights between tasks: factors of those in the file, which change while a model is trained."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from recmtl.learn.optim import AdamW
from recmtl.learn.settings import TrainConfig
from recmtl.schema.losses import LossConfig
from recmtl.schema.weighting import DynamicAverage, Uncertainty, WeightingConfig


class Weigher(nn.Module):
    """Leaves the weights of the file as they are. Others move them by what the losses do."""

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


def build_weigher(config: WeightingConfig | None, losses: Mapping[str, LossConfig]) -> Weigher:
    """What moves the weights of tasks with these losses; None in a file leaves them fixed."""
    if isinstance(config, Uncertainty):
        return LearnedVariances(losses)
    if isinstance(config, DynamicAverage):
        return AveragedChanges(losses, config.temperature)
    return Weigher()
