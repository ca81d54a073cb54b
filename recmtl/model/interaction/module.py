"""What every interaction's module is: Embedded in, Embedded out, with the columns of its views."""

from collections.abc import Mapping

from torch import Tensor, nn

from recmtl.batch import Columns, Embedded
from recmtl.model.boxes import distinct, shape, spoken
from recmtl.model.sharing.options import ALL
from recmtl.page import Block


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

    def drawn(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        """For a drawing: the box of each view after its columns have met, the view's own if none do."""
        before, width = distinct(views.values()), self.columns.width
        each = sum(weight.numel() for weight in self.parameters()) // len(before)
        if not each and all(view.columns == width for view in before):
            return views
        after = {
            view: Block(spoken(self), (shape([view.columns, width]), f"{each:,} parameters"), (view,),
                        columns=width)
            for view in before
        }
        return {name: after[view] for name, view in views.items()}
