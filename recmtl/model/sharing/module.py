"""What every sharing's module is: Embedded in, Shared out, with the width of its views."""

from torch import nn

from recmtl.batch import Embedded, Shared


class SharingModule(nn.Module):
    """Gives each tower a view (B, outputs) of the embedded batch."""

    outputs: int

    def forward(self, embedded: Embedded) -> Shared:
        raise NotImplementedError(type(self).__name__)
