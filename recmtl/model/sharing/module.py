"""What every sharing's module is: Embedded in, Shared out, with the width of its views."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from recmtl.batch import Embedded, Shared


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
