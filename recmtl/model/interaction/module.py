"""What every interaction's module is: Embedded in, Embedded out, with the columns of its views."""

from torch import Tensor, nn

from recmtl.batch import Columns, Embedded
from recmtl.model.sharing.options import ALL


class InteractionModule(nn.Module):
    """Leaves views as they are. Others change each view, the same one for several tasks once.

    What a module learns, it learns for each view by itself: where tasks have tables of their own, they
    have weights of their own in it, too.
    """

    def __init__(self, columns: Columns) -> None:
        super().__init__()
        self.columns = columns  # of the views that it gives

    def forward(self, embedded: Embedded) -> Embedded:
        shared = None if embedded.shared is None else self.meet(ALL, embedded.shared)
        views = {
            task: shared if shared is not None and view is embedded.shared else self.meet(task, view)
            for task, view in embedded.views.items()
        }
        return Embedded(views, shared)

    def meet(self, name: str, view: Tensor) -> Tensor:
        """A task's view, or that of ALL, (B, W), after its columns have met, (B, columns.width)."""
        return view
