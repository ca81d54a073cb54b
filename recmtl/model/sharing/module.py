"""What every sharing's module is: Embedded in, Shared out, with the width of its views."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from recmtl.batch import Embedded, Shared
from recmtl.model.boxes import distinct, parameters, shape, spoken
from recmtl.page import Block


def shared_view(embedded: Embedded) -> Tensor:
    """The view of the tables that all tasks share, of a sharing whose options ask for such."""
    assert embedded.shared is not None
    return embedded.shared


class SharingModule(nn.Module, ABC):
    """Gives each tower a view (B, outputs) of the embedded batch."""

    outputs: int

    @abstractmethod
    def forward(self, embedded: Embedded) -> Shared:
        """The views, and the gates that made them where there are any."""

    def drawn(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        """For a drawing: the box of each task's view, from those of the embedded views.

        `views` has those of the tasks and, under options.ALL, that of the tables that they share, if
        there are such. A sharing is one box unless it says more.
        """
        read = distinct(views.values())
        size = (shape([read[0].columns, self.outputs]), parameters(self.parameters()))
        return dict.fromkeys(views, Block(spoken(self), size, read, columns=self.outputs))
