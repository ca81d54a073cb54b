"""Weights between tasks: factors of those in the file, which change while a model is trained."""

from collections.abc import Mapping
from functools import partial

from recmtl.learn.weighting.gradients import Balanced, EqualNorms
from recmtl.learn.weighting.losses import AveragedChanges, EqualRates, LearnedVariances
from recmtl.learn.weighting.weigher import Weigher
from recmtl.schema.losses import LossConfig
from recmtl.schema.weighting import (
    FAMO,
    CAGrad,
    DynamicAverage,
    GradNorm,
    Uncertainty,
    WeightingConfig,
)

__all__ = ["AveragedChanges", "LearnedVariances", "Weigher", "build_weigher"]


def build_weigher(config: WeightingConfig | None, losses: Mapping[str, LossConfig]) -> Weigher:
    """What moves the weights of tasks with these losses; None in a file leaves them fixed."""
    if config is None:
        return Weigher()
    if isinstance(config, Uncertainty):
        return LearnedVariances(losses)
    if isinstance(config, DynamicAverage):
        return AveragedChanges(losses, config.temperature)
    if isinstance(config, FAMO):
        return EqualRates(tuple(losses), config)
    if isinstance(config, GradNorm):
        return EqualNorms(tuple(losses), config)
    from recmtl.learn.weighting import gramian  # scipy's solvers: for those alone that ask for them

    if isinstance(config, CAGrad):
        return Balanced(tuple(losses), config.on, partial(gramian.cagrad, c=config.c))
    return Balanced(tuple(losses), config.on, gramian.METHODS[config.kind])
