"""One network for all tasks: hard parameter sharing."""

from collections.abc import Sequence

from recmtl.batch import Embedded, Shared
from recmtl.model.mlp import MLP
from recmtl.model.sharing.module import SharingModule
from recmtl.model.sharing.options import SharingConfig


class SharedBottomNetwork(SharingModule):
    """views[t] = MLP(x_t), the same MLP for every t; computed once where the x_t are one tensor.

    Reference: Caruana, Multitask Learning, 1997.
    """

    def __init__(self, inputs: int, tasks: Sequence[str], options: SharingConfig) -> None:
        super().__init__()
        self.bottom = MLP(inputs, options.hidden, options.dropout)
        self.tasks = tuple(tasks)
        self.outputs = options.hidden[-1]

    def forward(self, embedded: Embedded) -> Shared:
        distinct = {id(embedded.views[task]): embedded.views[task] for task in self.tasks}
        done = {key: self.bottom(view) for key, view in distinct.items()}
        return Shared({task: done[id(embedded.views[task])] for task in self.tasks})
