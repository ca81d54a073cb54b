"""The gradient of each task, at the embedded batch and at the dense part; never that of a whole table."""

from collections.abc import Sequence

import torch
from torch import Tensor

from recmtl.errors import RecmtlError
from recmtl.learn.group import Group
from recmtl.learn.optim import Trained
from recmtl.schema.weighting import Place

Gradients = Sequence[Tensor | None]  # a place each; None where a loss does not reach it


class TaskGradients:
    """Of losses (scalars), at views of the embedded batch and at dense parameters.

    One backward pass a task through all but the look-up, of whose tables each view's gradient says all; a
    weighted sum is then one pass through the look-up alone. A table of classes is its task's alone.
    """

    def __init__(self, losses: Sequence[Tensor], views: Sequence[Tensor], trained: Trained) -> None:
        self._views = [view for view in views if view.requires_grad]
        self._tables, self._dense, self._copies, self._classes = trained
        self._tasks = [self._of(loss) for loss in losses]

    def gramian(self, at: Place, group: Group) -> Tensor:
        """⟨g_s, g_t⟩ (T, T), g_t being task t's gradients in all places that two tasks or more move.

        At "features" the places are the views: rows that other processes hold are other parts of them,
        and products add up. At "parameters" they are dense parameters and, of each copy in a table, the
        rows that the batch reads. Raises RecmtlError for these in several processes, whose gradients
        would have to be added up before.
        """
        if at == "parameters" and group.size > 1:
            raise RecmtlError(
                "each process has a part of a task's gradient alone", where="weighting",
                found='on = "parameters"', expected='on = "features", or one process',
            )
        found = [self._at(at, gradients) for gradients in self._tasks]
        places = zip(*found, strict=True)
        products = group.total(torch.stack([_products(place) for place in places]))
        reached = products.diagonal(dim1=1, dim2=2) > 0
        return products[reached.sum(dim=1) > 1].sum(dim=0)

    def backward(self, factors: Sequence[Tensor], rest: Sequence[Tensor], group: Group) -> None:
        """Leave the gradient of Σ factor · loss + Σ rest, scalars, in every parameter.

        What one task alone moves, as its tower, has a factor of 1: those of 0 and below are answers to a
        conflict, and would keep it from learning, or make it unlearn.
        """
        tasks, scales = self._tasks, self._scales(factors, group)
        learned = [scalar for scalar in rest if scalar.requires_grad]
        if learned:
            tasks = [*tasks, self._of(torch.stack(learned).sum())]
            scales = torch.cat([scales, torch.ones_like(scales[:1])])
        places = zip(scales.unbind(1), zip(*map(self._met, tasks), strict=True), strict=True)
        added = [_sum(scale, gradients) for scale, gradients in places]
        known = [(view, g) for view, g in zip(self._views, added, strict=False) if g is not None]
        torch.autograd.backward([view for view, _ in known], [gradient for _, gradient in known])
        # Last: of what pools lists, before the views, that pass has left a gradient, too.
        for parameter, gradient in zip(self._dense, added[len(self._views) :], strict=True):
            parameter.grad = gradient
        for place, table in enumerate(self._classes, len(self._views) + len(self._dense)):
            own = [gradient for task in tasks if (gradient := task[place]) is not None]
            table.grad = sum(own[1:], own[0]) if own else None

    def _scales(self, factors: Sequence[Tensor], group: Group) -> Tensor:
        """(T, places): each task's factor where two tasks or more have a gradient, 1 elsewhere."""
        given = torch.stack(list(factors)).unsqueeze(1)
        none = given.new_zeros((), dtype=torch.bool)
        moved = [torch.stack([none if gradient is None else gradient.any() for gradient in task])
                 for task in map(self._met, self._tasks)]
        reached = group.total(torch.stack(moved).to(given.dtype)) > 0
        return torch.where(reached.sum(dim=0) > 1, given, 1.0)

    def _of(self, loss: Tensor) -> Gradients:
        places = [*self._views, *self._dense, *self._classes]
        if not loss.requires_grad:  # its task has stopped
            return [None] * len(places)
        return torch.autograd.grad(loss, places, retain_graph=True, allow_unused=True)

    def _met(self, found: Gradients) -> Gradients:
        """Those of places where tasks may meet."""
        return found[: len(self._views) + len(self._dense)]

    def _at(self, at: Place, found: Gradients) -> list[Tensor]:
        """A task's gradients, place by place."""
        places = zip([*self._views, *self._dense], self._met(found), strict=True)
        whole = [torch.zeros_like(p) if g is None else g for p, g in places]
        views, dense = whole[: len(self._views)], whole[len(self._views) :]
        if at == "features":
            return views
        if not self._tables:
            return dense
        sparse = torch.autograd.grad(self._views, list(self._tables), views, retain_graph=True)
        # The same rows for all tasks: those that the batch reads.
        rows = [gradient.coalesce().values() for gradient in sparse]
        return [*dense, *(part for values in rows for part in values.chunk(self._copies, dim=1))]


def _products(place: Sequence[Tensor]) -> Tensor:
    """(T, T), of the tasks' gradients in one place, in fp32 or more."""
    stacked = torch.stack([gradient.flatten() for gradient in place])
    stacked = stacked.to(torch.promote_types(stacked.dtype, torch.float32))
    return stacked @ stacked.t()


def _sum(factors: Tensor, place: Gradients) -> Tensor | None:
    """Σ factor · gradient, factors (T,); None where no loss reaches the place."""
    found = [factor.to(gradient.dtype) * gradient
             for factor, gradient in zip(factors, place, strict=True) if gradient is not None]
    return torch.stack(found).sum(0) if found else None
