"""Checkpoints of a fit: all that its next step depends on, written whole, read back bit for bit."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from recmtl.errors import RecmtlError
from recmtl.folder import is_current, read_manifest, write_folder
from recmtl.learn.checkpoint import Stored, put_back, write_tensors
from recmtl.learn.epoch import Epoch
from recmtl.learn.group import ALONE, Group
from recmtl.learn.sharded.scattered import Scattered

COST = 0.015  # of the training time: checkpoints that take longer are written more rarely
TENSORS = "state.safetensors"

Modules = Mapping[str, nn.Module]  # what is trained, by name: the model, and what moves tasks' weights


@dataclass
class Standing:
    """Where a fit stands: after `steps` steps of epoch `epoch`, and what it found until then."""

    epoch: int = 1
    steps: int = 0
    losses: dict[str, float] = field(default_factory=dict)  # task → sum over the epoch's steps
    counts: dict[str, int] = field(default_factory=dict)  # task → those of them that gave its loss
    seconds: float = 0.0  # that the epoch's steps took, checkpoints included
    saving: float = 0.0  # of it for checkpoints
    top: float = -float("inf")  # the best monitored value
    waited: int = 0  # epochs since
    past: list[Epoch] = field(default_factory=list)

    def add(self, name: str, loss: float) -> None:
        """A step gave this loss."""
        self.losses[name] = self.losses.get(name, 0.0) + loss
        self.counts[name] = self.counts.get(name, 0) + 1

    def finish(self, epoch: Epoch, value: float) -> None:
        """The epoch is over, with this monitored value: stand at the beginning of the next."""
        self.waited = 0 if epoch.best else self.waited + 1
        self.top = max(self.top, value)
        self.past.append(epoch)
        self.epoch, self.steps, self.losses, self.counts = self.epoch + 1, 0, {}, {}
        self.seconds = self.saving = 0.0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "top": None if self.top == -float("inf") else self.top,
                "past": [epoch.to_json() for epoch in self.past]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Standing":
        top = -float("inf") if content["top"] is None else content["top"]
        past = [Epoch.from_json(epoch) for epoch in content["past"]]
        every = dict.fromkeys(content["losses"], content["steps"])  # where no tasks took turns yet
        return cls(**{"counts": every, **content, "top": top, "past": past})


class Checkpoints:
    """The last checkpoint of one fit in `folder`, beside the best weights so far.

    `key` says what the fit is made from: a checkpoint of another key is passed over. `every` is the
    least number of steps between two; they lie further apart where one costs more than COST.
    """

    def __init__(self, folder: Path, key: str, every: int) -> None:
        self.best = folder / "best.safetensors"
        self._last, self._key, self._every = folder / "checkpoint", key, every
        self._steps, self._cost, self._written = 0, 0.0, time.perf_counter()

    def due(self, group: Group = ALONE) -> bool:
        """Whether one is to be written after this step, the next one; all processes say the same."""
        self._steps += 1  # of all epochs: one may be shorter than the distance of two checkpoints
        if self._steps % self._every:
            return False
        return group.agreed(time.perf_counter() - self._written >= self._cost / COST)

    def save(
        self, standing: Standing, modules: Modules, optimizers: list[torch.optim.Optimizer],
        group: Group = ALONE,
    ) -> None:
        """Write one in place of the last, by the first process; all of a group call this.

        Raises RecmtlError where it cannot be written.
        """
        start = time.perf_counter()
        tensors = _tensors(modules, optimizers) | _random(group)
        if not group.first:
            write_tensors(tensors, None)
            return
        with write_folder(self._last, {"key": self._key, "standing": standing.to_json()}) as folder:
            write_tensors(tensors, folder / TENSORS)
        self._written = time.perf_counter()
        self._cost = self._written - start
        standing.saving += self._cost

    def restore(
        self, modules: Modules, optimizers: list[torch.optim.Optimizer], group: Group = ALONE
    ) -> Standing | None:
        """Put modules, optimizers and random state back to the last one; None where there is none."""
        if not is_current(self._last, self._key):
            return None
        try:
            with safe_open(self._last / TENSORS, framework="pt") as found, torch.no_grad():
                _put_back(found, modules, optimizers)
                _seed_again(found, group)
        except (OSError, SafetensorError) as error:
            raise RecmtlError(f"unreadable checkpoint: {error}", where=self._last,
                              fix="delete the folder: training then begins anew") from error
        return Standing.from_json(read_manifest(self._last)["standing"])


def _tensors(modules: Modules, optimizers: list[torch.optim.Optimizer]) -> dict[str, Stored]:
    """Everything by name: MODULE/… and optimizer/NUMBER/PARAMETER/…"""
    found = {
        f"{part}/{name}": stored
        for part, module in modules.items() for name, stored in module.state_dict().items()
    }
    for number, optimizer in enumerate(optimizers):
        for place, parameter in enumerate(_parameters(optimizer)):
            for name, tensor in optimizer.state[parameter].items():
                found[f"optimizer/{number}/{place}/{name}"] = tensor
    return found


def _random(group: Group) -> dict[str, Stored]:
    """The states of all processes' generators, (processes, bytes) each."""
    found: dict[str, Stored] = {"random/cpu": group.joined(torch.get_rng_state().unsqueeze(0))}
    if torch.cuda.is_available():
        found["random/cuda"] = group.joined(torch.cuda.get_rng_state().unsqueeze(0))
    return found


def _seed_again(found: Any, group: Group) -> None:
    # Copies: of a view that begins inside its storage torch (2.13) refuses the state, or dies of it.
    torch.set_rng_state(found.get_tensor("random/cpu")[group.rank].clone())
    if "random/cuda" in found.keys() and torch.cuda.is_available():  # noqa: SIM118
        torch.cuda.set_rng_state(found.get_tensor("random/cuda")[group.rank].clone())


def _put_back(found: Any, modules: Modules, optimizers: list[torch.optim.Optimizer]) -> None:
    for part, module in modules.items():
        for name, stored in module.state_dict().items():
            put_back(stored, found, f"{part}/{name}")
    for name in found.keys():  # noqa: SIM118
        kind, _, rest = name.partition("/")
        if kind != "optimizer":
            continue
        number, place, key = rest.split("/")
        optimizer = optimizers[int(number)]
        parameter = _parameters(optimizer)[int(place)]
        state = optimizer.state[parameter]
        if isinstance(state.get(key), Scattered):
            put_back(state[key], found, name)
        else:
            state[key] = found.get_tensor(name).to(parameter.device, copy=True)


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
