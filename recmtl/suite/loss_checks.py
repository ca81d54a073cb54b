"""What every kind of loss must do. Each check takes its options, and asserts."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from recmtl.learn.losses import row_losses
from recmtl.learn.tasks import TaskStatistics
from recmtl.schema.losses import LossConfig

KNOWN = TaskStatistics(rows=100, share=1.0, mean=0.02, std=2.5)
RAW = torch.tensor([-200.0, -17.0, -1.3, -1e-3, 0.0, 0.4, 2.0, 30.0, 200.0], dtype=torch.float64)


def _both(options: LossConfig, raw: Tensor) -> list[Tensor]:
    """The losses of raw outputs (B,) for either label of a binary task, or two values of another."""
    labels = (0.0, 1.0) if options.type == "binary" else (-3.7, 12.0)
    return [row_losses(raw, torch.full_like(raw, label), KNOWN, options) for label in labels]


def a_loss_is_a_finite_number_a_row(options: LossConfig) -> None:
    """In fp32, too, and its gradient, at raw outputs of any size."""
    for raw in (RAW.clone(), RAW.float()):
        raw.requires_grad_()
        for loss in _both(options, raw):
            (gradient,) = torch.autograd.grad(loss.sum(), raw, retain_graph=True)
            assert loss.shape == raw.shape and loss.dtype == raw.dtype
            assert torch.isfinite(loss).all() and torch.isfinite(gradient).all()


def a_row_does_not_change_another_s_loss(options: LossConfig) -> None:
    for together, alone in zip(_both(options, RAW), _both(options, RAW[3:4]), strict=True):
        torch.testing.assert_close(together[3:4], alone)


def its_gradient_is_that_of_small_differences(options: LossConfig) -> None:
    raw = torch.linspace(-2.03, 2.11, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: tuple(_both(options, z)), [raw])


def a_better_raw_output_costs_no_more(options: LossConfig) -> None:
    """Toward the label: a higher logit where it is 1, a lower one where it is 0."""
    if options.type == "binary":
        low, high = _both(options, RAW)
        assert (low.diff() >= 0).all() and (high.diff() <= 0).all()
    else:
        for loss, label in zip(_both(options, torch.arange(-20.0, 20.0)), (-3.7, 12.0), strict=True):
            distance = (torch.arange(-20.0, 20.0) - label).abs()
            assert (loss[distance.argsort()].diff() >= 0).all()


LOSS_CHECKS: Sequence[Callable[[LossConfig], None]] = (
    a_loss_is_a_finite_number_a_row, a_row_does_not_change_another_s_loss,
    its_gradient_is_that_of_small_differences, a_better_raw_output_costs_no_more,
)
