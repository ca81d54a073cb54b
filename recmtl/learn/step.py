"""One training step: a batch in, each task's loss out, weights moved; on a GPU as one recorded graph."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from recmtl.batch import Batch, Output
from recmtl.kernels import engine
from recmtl.learn.group import Group
from recmtl.learn.losses import task_loss
from recmtl.learn.optim import Trained
from recmtl.learn.ranking import ranking_loss
from recmtl.learn.resting import NOTHING, Resting, stopped
from recmtl.learn.settings import TrainConfig
from recmtl.learn.task_gradients import TaskGradients
from recmtl.learn.tasks import TaskStatistics
from recmtl.learn.turns import Turn, backward
from recmtl.learn.weighting import Weigher, build_weigher
from recmtl.schema import Task
from recmtl.schema.freeze import Freeze
from recmtl.schema.losses import LossConfig, Ranking, loss_of
from recmtl.schema.weighting import WeightingConfig

Losses = dict[str, Tensor]  # name → scalar, of a task, its ranking or a penalty
ROOM = 1.25  # lists of one batch are longer than those of another
WARM = 3  # steps before one is recorded: they make the optimizers' state and the libraries' handles


@dataclass(frozen=True)
class Objective:
    """What is minimised: the tasks, each one's loss, what moves its weight, and what moves later on.

    Where tasks take turns each turn minimises its own, of `apart`.
    """

    tasks: Mapping[str, Task]
    loss: Mapping[str, float | LossConfig]
    statistics: Mapping[str, TaskStatistics]  # on train
    weighting: WeightingConfig | None = None
    freeze: Freeze | None = None
    turns: Sequence[Turn] = ()  # all of them, or the one that this is of

    @cached_property
    def apart(self) -> "Sequence[Objective]":
        """Itself; of several turns each one's, with shares of the rows that it goes over."""
        if len(self.turns) < 2:
            return (self,)
        return [
            replace(
                self, turns=(turn,), loss={n: given for n, given in self.loss.items() if n in turn.tasks},
                statistics={n: replace(s, share=s.share / turn.part) for n, s in self.statistics.items()},
            )
            for turn in self.turns
        ]

    @cached_property
    def options(self) -> Mapping[str, LossConfig]:
        """Each weighted task's loss."""
        return {name: loss_of(self.tasks[name], given) for name, given in self.loss.items()}

    @cached_property
    def rankings(self) -> Mapping[str, Ranking]:
        """Those of the tasks whose loss has one."""
        return {name: loss.ranking for name, loss in self.options.items() if loss.ranking}

    @cached_property
    def weigher(self) -> Weigher:
        """What moves the weights: one fit's own, which trains it."""
        return build_weigher(self.weighting, self.options)

    @cached_property
    def stopped(self) -> set[str]:
        """The tasks whose loss has left the sum: one fit's own."""
        return set()

    @property
    def over(self) -> bool:
        """Whether all of its tasks have stopped."""
        return len(self.stopped) == len(self.loss)

    def begin(self, past: Sequence[Mapping[str, float]], config: TrainConfig) -> None:
        """An epoch begins; `past` holds the metrics of those before it."""
        learned = {name: self.tasks[name] for name in self.loss}
        self.stopped.update(stopped(learned, config, past))
        self.weigher.begin(past)

    def weights(self) -> Mapping[str, Tensor | float]:
        """The weight of each task's loss in this step."""
        factors = self.weigher.factors()
        return {name: 0.0 if name in self.stopped else options.weight * factors.get(name, 1.0)
                for name, options in self.options.items()}

    def weighted(self, losses: Mapping[str, Tensor]) -> list[Tensor]:
        """weight · loss of every weighted task, by the weight of the file; 0 for one that has stopped."""
        whole = self._with_rankings(losses)
        return [whole[name].new_zeros(()) if name in self.stopped else options.weight * whole[name]
                for name, options in self.options.items()]

    def losses(self, output: Output, batch: Batch) -> Losses:
        """The unweighted loss of every weighted task, and the rankings beside them; scalars."""
        losses = {
            name: task_loss(
                self.tasks[name], output.raw[name], batch, self.statistics[name], options,
                output.weights.get(name),
            )
            for name, options in self.options.items()
        }
        for name in self.rankings:
            losses[_ranking(name)] = ranking_loss(
                self.tasks[name], output.raw[name], batch, self.statistics[name], self.options[name]
            )
        return losses

    def _with_rankings(self, losses: Mapping[str, Tensor]) -> Losses:
        """The same, each ranking by its weight in the loss of its task."""
        whole = dict(losses)
        for name, options in self.rankings.items():
            whole[name] = whole[name] + options.weight * whole.pop(_ranking(name))
        return whole

    def weigh(
        self, losses: Mapping[str, Tensor], views: Sequence[Tensor], group: Group, trained: Trained
    ) -> TaskGradients | None:
        """Tell the weigher what it reads of a step; the tasks' gradients, where those are read."""
        reads = self.weigher.reads
        if reads is None:
            return None
        weighted = self.weighted(losses)
        told = group.total(torch.stack([loss.detach() for loss in weighted]))
        gradients = gramian = None
        if reads != "losses":
            gradients = TaskGradients(weighted, views, trained)
            gramian = gradients.gramian(reads, group)
        self.weigher.weigh(told, gramian)
        for state in self.weigher.buffers():  # one process's answer, where methods draw or round
            group.tell(state)
        return gradients

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Σ weight · loss, a scalar; a penalty's weight is 1."""
        weights, whole = self.weights(), self._with_rankings(losses)
        learned = {name: loss for name, loss in whole.items() if name not in self.stopped}
        first, *others = (weights.get(name, 1.0) * loss for name, loss in learned.items())
        return sum(others, first)

    def backward(
        self, losses: Mapping[str, Tensor], gradients: TaskGradients | None, group: Group,
        trained: Trained,
    ) -> None:
        """Leave the gradient of the total in every parameter; put together where tasks have theirs."""
        if self.over:  # others have a turn still
            return
        own = {*self.options, *map(_ranking, self.rankings)}
        penalties = {name: loss for name, loss in losses.items() if name not in own}
        if gradients is not None:
            gradients.backward(list(self.weigher.factors().values()), list(penalties.values()), group)
        elif self.turns and penalties:
            tables, dense, _, classes = trained
            total = self.total({name: loss for name, loss in losses.items() if name in own})
            backward(total, torch.stack(list(penalties.values())).sum(), [*tables, *dense, *classes])
        else:
            self.total(losses).backward()  # type: ignore[no-untyped-call]

    def look_back(self, again: Callable[[], Losses], group: Group) -> None:
        """After a step: tell the weigher, where it asks, what the same batch's losses are now."""
        if self.weigher.looks_back:
            with torch.no_grad():
                weighted = torch.stack(self.weighted(again()))
            self.weigher.look_back(group.total(weighted))


def make_step(
    model: nn.Module, objective: Objective, optimizers: list[torch.optim.Optimizer],
    config: TrainConfig, group: Group, rest: Resting = NOTHING,
) -> Callable[[Batch], Losses]:
    """A function that takes one step on a batch and gives its losses, over all processes of a group.

    No step is taken where a loss is not finite; on a GPU, where to look would be to wait, it is.
    """
    device = next(model.parameters()).device.type
    trained = tables, dense, _, classes = parameters(model)
    dense += objective.weigher.parameters()

    def forward(batch: Batch) -> tuple[Output, Losses]:
        with torch.autocast(device, torch.bfloat16, enabled=config.precision == "bf16"):
            output: Output = model(batch)
        return output, objective.losses(output, batch)

    def step(batch: Batch) -> Losses:
        output, losses = forward(batch)
        gradients = objective.weigh(losses, output.embedded, group, trained)
        # A process's part of the sum over all: a penalty is the same on each of them.
        penalties = {**output.penalties, **objective.weigher.penalties()}
        losses |= {name: penalty / group.size for name, penalty in penalties.items()}
        found = group.total(torch.stack([loss.detach() for loss in losses.values()]))
        if device != "cpu" or all(map(math.isfinite, found.tolist())):
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            objective.backward(losses, gradients, group, trained)
            rest.drop_gradients()
            group.share_gradients([*tables, *classes], dense)
            for optimizer in optimizers:
                optimizer.step()
            objective.look_back(lambda: forward(batch)[1], group)
        rest.put_back()
        return dict(zip(losses, found.unbind(), strict=True))

    recorded = engine(device) == "triton" and recordable(model, objective, config, group)
    return Recorded(step) if recorded else step


def recordable(model: nn.Module, objective: Objective, config: TrainConfig, group: Group) -> bool:
    """Whether all steps are the same kernels: one that is recorded has its learning rates in it.

    A part of the model with an attribute `recordable = False` says that its own are not, or that it waits
    for one of them, as for how many values it found.
    """
    changing = (config.schedule, config.task_patience, objective.freeze, objective.weigher.reads)
    parts = all(getattr(part, "recordable", True) for part in model.modules())
    fixed = parts and not objective.rankings  # how many pairs a batch has is looked at on the host
    return fixed and group.size == 1 and not objective.turns and all(given is None for given in changing)


def _ranking(task: str) -> str:
    """The name of its term among losses: no task's has a dot."""
    return f"ranking.{task}"


class Recorded:
    """A step that is recorded as a CUDA graph and then played: one launch in place of two hundred.

    After WARM steps a size of batch is recorded when it comes again: that of an epoch's last in epoch 2.
    Batches with more in their lists than the recording has room for are taken step by step.
    """

    def __init__(self, step: Callable[[Batch], Losses]) -> None:
        self._step = step
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._memory = torch.cuda.graph_pool_handle()  # all recordings': one is played at a time
        self._seen: Counter[int] = Counter()
        self._recordings: dict[int, Recording] = {}

    def __call__(self, batch: Batch) -> Losses:
        size = len(batch)
        if size not in self._recordings:
            if self._seen.total() < WARM or not self._seen[size]:
                self._seen[size] += 1
                return self._aside(batch)
            self._recordings[size] = self._record(batch)
        recording = self._recordings[size]
        return recording.play(batch) if batch.fits_into(recording.batch) else self._step(batch)

    def _aside(self, batch: Batch) -> Losses:
        """On the stream that will record: autograd and cuBLAS keep what they have for each."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            losses = self._step(batch)
        torch.cuda.current_stream().wait_stream(self._stream)
        return losses

    def _record(self, batch: Batch) -> "Recording":
        graph, read = torch.cuda.CUDAGraph(), batch.with_room(ROOM)
        # Another thread may pin memory meanwhile: a stricter mode takes that for a part of the step.
        with torch.cuda.graph(graph, self._memory, self._stream, capture_error_mode="thread_local"):
            losses = self._step(read)
        return Recording(graph, read, losses)


@dataclass(frozen=True)
class Recording:
    """A recorded step: it reads `batch`, where there is room for ROOM times the values of its lists."""

    graph: torch.cuda.CUDAGraph
    batch: Batch
    losses: Losses

    def play(self, batch: Batch) -> Losses:
        """A step on a batch that fits into its own."""
        for tensor, into in zip(batch.tensors(), self.batch.tensors(), strict=True):
            into[: len(tensor)].copy_(tensor)
        self.graph.replay()
        return {name: loss.clone() for name, loss in self.losses.items()}


def parameters(model: nn.Module) -> Trained:
    """What of it learns, by how it does: row by row, or whole."""
    embedding = model.get_submodule("embedding")
    tables = list(embedding.get_submodule("tables").parameters())
    towers = model.get_submodule("towers").named_parameters()
    classes = [p for name, p in towers if name.endswith(".table")]  # of towers that end in one
    inside = {id(p) for p in (*tables, *classes)}
    dense = [p for p in model.parameters() if id(p) not in inside]
    return tables, dense, int(embedding.copies), classes  # type: ignore[arg-type]
