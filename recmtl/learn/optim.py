"""Optimizers: row-wise Adagrad for the tables, touching only a batch's rows; AdamW for the rest."""

from collections.abc import Callable, Iterable
from inspect import unwrap
from itertools import count
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from recmtl.batch import Batch
from recmtl.kernels import adagrad, adds_up
from recmtl.learn.settings import TrainConfig

if TYPE_CHECKING:
    from recmtl.kernels.gpu import RowSums

# Tables, everything else, the copies of an embedding that a row of a table holds, and tables of classes.
Trained = tuple[list[nn.Parameter], list[nn.Parameter], int, list[nn.Parameter]]
Step = Callable[[Batch], dict[str, Tensor]]  # takes one, and gives its losses by name


class Uncompiled(torch.optim.Optimizer):
    """An optimizer that nobody compiles.

    torch's methods are wrapped so that its compiler passes over them, and load it for that: 70 MB, and a
    second before the first step.
    """

    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """None is left, none is set to 0. Torch's own asks a profiler first, which takes longer."""
        assert set_to_none
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None


class AdamW(Uncompiled, torch.optim.AdamW):
    """torch's own, in one fused loop."""

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))

    def __init__(self, parameters: list[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(
            parameters, lr, weight_decay=weight_decay, fused=True, capturable=parameters[0].is_cuda
        )


class AdamWInTurn(AdamW):
    """Of tasks that take turns: decays no number that their losses have never had a gradient for.

    Where parts of other tasks lie in one tensor with theirs, those have a gradient of 0.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        learned = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        before = [parameter.clone() for parameter in learned]
        super().step()
        for parameter, was in zip(learned, before, strict=True):
            never = self.state[parameter]["exp_avg_sq"] == 0
            parameter.copy_(torch.where(never, was, parameter))


class RowAdagrad(Uncompiled):
    """Adagrad with one accumulator per row and copy of it, for parameters with sparse gradients.

    For a touched row w with gradient g (plus l2 · w), of `copies` equal parts:
    s ← s + mean(g²); w ← w − lr · g / (√s + ε), each part with its own s.
    Rows outside the batch are neither read nor written. State: (rows, copies).

    Reference: Gupta et al., Training Recommender Systems at Scale, 2014, row-wise as in
    Naumov et al., DLRM, 2019.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, l2: float = 0.0, copies: int = 1,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "l2": l2, "copies": copies, "eps": eps})
        self._sums: dict[nn.Parameter, RowSums] = {}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._update(table, group)

    def _update(self, table: nn.Parameter, group: dict[str, Any]) -> None:
        gradient: Tensor = table.grad  # type: ignore[assignment]
        squares = self._squares(table, group["copies"])
        settings = group["lr"], group["l2"], group["eps"]
        rows, gradients = gradient._indices()[0], gradient._values()
        if adds_up(gradients):
            self._row_sums(table).adagrad(table.data, squares, rows, gradients, *settings)
        else:
            adagrad(table.data, squares, *_distinct(gradient), *settings)

    def _row_sums(self, table: nn.Parameter) -> "RowSums":
        from recmtl.kernels.gpu import RowSums

        if table not in self._sums:
            self._sums[table] = RowSums(table.data)
        return self._sums[table]

    def _squares(self, table: nn.Parameter, copies: int) -> Tensor:
        state = self.state[table]
        if "squares" not in state:
            dtype = torch.promote_types(table.dtype, torch.float32)
            state["squares"] = torch.zeros(len(table), copies, device=table.device, dtype=dtype)
        squares: Tensor = state["squares"]
        return squares


def _distinct(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (U,), each once, and their gradients (U, W).

    autograd forgets that a look-up's gradient is coalesced already; rows in rising order prove it,
    and spare a second merge.
    """
    rows = gradient._indices()[0]
    if bool((rows[1:] <= rows[:-1]).any()):
        gradient = gradient.coalesce()
    return gradient._indices()[0], gradient._values()


def build_optimizers(
    tables: list[nn.Parameter], dense: list[nn.Parameter], copies: int, classes: list[nn.Parameter],
    config: TrainConfig, in_turn: bool = False,
) -> list[torch.optim.Optimizer]:
    """One optimizer for the tables, one for those of classes, one for everything else; of each turn."""
    optimizers: list[torch.optim.Optimizer] = [
        RowAdagrad(some, config.table_learning_rate, config.table_l2, parts)
        for some, parts in ((tables, copies), (classes, 1)) if some
    ]
    if dense:
        kind = AdamWInTurn if in_turn and config.weight_decay else AdamW
        optimizers.append(kind(dense, config.learning_rate, config.weight_decay))
    return optimizers


def paced(
    step: Step, optimizers: list[torch.optim.Optimizer], config: TrainConfig, epoch_steps: int, done: int
) -> Step:
    """A step whose learning rates follow the schedule, of a fit that has taken `done` steps before."""
    schedule = config.schedule
    if schedule is None:
        return step
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    heights, counted = [group["lr"] for group in groups], count(done)

    def taken(batch: Batch) -> dict[str, Tensor]:
        factor = schedule.factor(next(counted), epoch_steps, config.epochs)
        for group, height in zip(groups, heights, strict=True):
            group["lr"] = factor * height
        return step(batch)

    return taken
