"""What stands still in an epoch: tasks that no longer improve, parts of the model that a file freezes."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from recmtl.learn.settings import TrainConfig
from recmtl.schema import Task
from recmtl.schema.freeze import Freeze


def stopped(
    tasks: Mapping[str, Task], config: TrainConfig, past: Sequence[Mapping[str, float]]
) -> frozenset[str]:
    """The tasks that, by the metrics of the epochs so far, were not better for `task_patience` of them.

    They do not come back. A task that valid cannot measure goes on.
    """
    if config.task_patience is None:
        return frozenset()
    found = set()
    for name, task in tasks.items():
        metric, sign = config.metric_of(task)
        values = [sign * epoch[key] for epoch in past if (key := f"{metric}_valid/{name}") in epoch]
        if _waited(values, config.task_patience):
            found.add(name)
    return frozenset(found)


def _waited(values: Iterable[float], patience: int) -> bool:
    top, waited = -float("inf"), 0
    for value in values:
        waited = 0 if value > top else waited + 1
        top = max(top, value)
        if waited >= patience:
            return True
    return False


class Resting:
    """The parts of a model that stand still in an epoch: to the last bit, whatever an optimizer decays.

    An optimizer passes over a parameter without a gradient; so its own state stands still, too. `towers`
    are those of tasks, `frozen` has parts and the epochs that they stand still for.
    """

    def __init__(
        self, towers: Mapping[str, nn.Module], frozen: Sequence[tuple[nn.Module, int]] = ()
    ) -> None:
        self._towers, self._frozen = towers, frozen
        self._parameters: list[nn.Parameter] = []
        self._buffers: list[tuple[Tensor, Tensor]] = []

    def begin(self, epoch: int, stopped: Collection[str]) -> None:
        """An epoch begins, in which the towers of these tasks rest, too."""
        still = [part for part, epochs in self._frozen if epoch <= epochs]
        still += [tower for name, tower in self._towers.items() if name in stopped]
        self._parameters = [parameter for part in still for parameter in part.parameters()]
        self._buffers = [(buffer, buffer.clone()) for part in still for buffer in part.buffers()]

    def drop_gradients(self) -> None:
        """Between a backward pass and the optimizers' steps."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def put_back(self) -> None:
        """After a step, whose forward passes may have moved running statistics."""
        for buffer, before in self._buffers:
            buffer.copy_(before)


NOTHING = Resting({})  # rests


def resting(model: nn.Module, freeze: Freeze | None) -> Resting:
    """What rests of a model by what a file says of it."""
    towers = dict(model.get_submodule("towers").named_children())
    given = freeze or Freeze()
    return Resting(towers, [
        (model.get_submodule("embedding.tables"), given.tables),
        (model.get_submodule("sharing"), given.sharing),
        (model.get_submodule("relation"), given.relation),
        *((towers[name], epochs) for name, epochs in given.of_towers([*towers]).items()),
    ])
