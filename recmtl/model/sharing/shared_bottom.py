"""One network for all tasks: hard parameter sharing."""

from collections.abc import Sequence

from recmtl.batch import Embedded, Shared
from recmtl.model.mlp import MLP
from recmtl.model.sharing.module import SharingModule


class SharedBottomNetwork(SharingModule):
    """views[t] = MLP(x_t), the same MLP for every t; computed once where the x_t are one tensor.

    Reference: Caruana, Multitask Learning, 1997.
    """

    def __init__(
        self, inputs: int, tasks: Sequence[str], hidden: Sequence[int], dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.bottom = MLP(inputs, hidden, dropout)
        self.tasks = tuple(tasks)
        self.outputs = hidden[-1]

    def forward(self, embedded: Embedded) -> Shared:
        distinct = {id(embedded.views[task]): embedded.views[task] for task in self.tasks}
        done = {key: self.bottom(view) for key, view in distinct.items()}
        return Shared({task: done[id(embedded.views[task])] for task in self.tasks})
