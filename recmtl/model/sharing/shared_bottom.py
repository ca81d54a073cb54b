"""One network for all tasks: hard parameter sharing."""

from collections.abc import Mapping, Sequence

from recmtl.batch import Embedded, Shared
from recmtl.model.boxes import box, distinct
from recmtl.model.mlp import MLP
from recmtl.model.sharing.module import SharingModule
from recmtl.model.sharing.options import SharingConfig
from recmtl.page import Block


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

    def drawn(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        bottom = box("network of all tasks", self.bottom, distinct(views[task] for task in self.tasks))
        return dict.fromkeys(self.tasks, bottom)
