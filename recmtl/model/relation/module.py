"""What every relation's module is: views in before the towers, raw outputs in after them."""

from collections.abc import Mapping

from torch import Tensor, nn

from recmtl.batch import Batch, Related


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
        """What the tasks get from the towers' raw outputs (B,) and the views that those have read."""
        return Related(raw)
