"""Losses, metrics, optimizers and the training loop. What can be written in a file: `TrainConfig`."""

from recmtl.learn.settings import TrainConfig

__all__ = ["TrainConfig"]
