"""What every relation's module is: views in before the towers, raw outputs in after them."""

from collections.abc import Mapping

from torch import Tensor, nn

from recmtl.batch import Batch, Related
from recmtl.model.boxes import distinct, parameters, shape, spoken
from recmtl.page import Block


class RelationModule(nn.Module):
    """Leaves views and outputs as they are: tasks are independent. Others change what they must.

    A batch that is scored has no labels: a relation reads them in training alone.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.outputs = inputs  # columns of the views that it hands to the towers

    def transfer(self, views: Mapping[str, Tensor], batch: Batch) -> Mapping[str, Tensor]:
        """What each tower reads, (B, outputs), from the sharing's views (B, inputs)."""
        return views

    def relate(self, raw: Mapping[str, Tensor], views: Mapping[str, Tensor], batch: Batch) -> Related:
        """What the tasks get of the towers' raw outputs, (B,) or (B, C), and of what those read."""
        return Related(raw)

    def drawn_views(self, views: Mapping[str, Block]) -> Mapping[str, Block]:
        """For a drawing: the boxes that the towers read, from those of the sharing's views.

        A relation that changes views is one box here, unless it says more; one that does not is none.
        """
        if type(self).transfer is RelationModule.transfer:
            return views
        read = distinct(views.values())
        size = (shape([read[0].columns, self.outputs]), parameters(self.parameters()))
        whole = Block(spoken(self), size, read, role="relation", columns=self.outputs)
        return dict.fromkeys(views, whole)

    def drawn_outputs(
        self, raw: Mapping[str, Block], views: Mapping[str, Block]
    ) -> Mapping[str, Block]:
        """For a drawing: the boxes of the tasks' outputs, from the towers' and the views that those read.

        One box under a relation that changes outputs, unless it says more: for all tasks with a tower.
        """
        if type(self).relate is RelationModule.relate:
            return raw
        return dict.fromkeys(raw, Block(spoken(self), (), distinct(raw.values()), role="relation"))


def mean_of_rows(values: Tensor) -> Tensor:
    """The mean of (B,), 0 of no rows: a process's part of an epoch's last batch may have none."""
    return values.sum() / max(len(values), 1)
