"""The second-order term of a factorisation machine, before it is added up to one number."""

from collections.abc import Sequence

import torch
from torch import Tensor

from recmtl.batch import Columns
from recmtl.model.interaction.module import InteractionModule

NAME = "pairs of fm"  # of the columns that it adds


class PairwiseProducts(InteractionModule):
    """view ← [view, Σ_{i<j} v_i ⊙ v_j], the sum as ½ ((Σ v_i)² − Σ v_i²), of the features' v_i (B, k).

    A list's embedding is its pooled one.

    References: Rendle, Factorization Machines, ICDM 2010, section III.A; He and Chua, Neural
    Factorization Machines for Sparse Predictive Analytics, SIGIR 2017, section 3.1 (bi-interaction).
    """

    def __init__(self, columns: Columns, features: Sequence[str]) -> None:
        places = sorted((columns.slices[name] for name in features), key=lambda place: place.start)
        width = places[0].stop - places[0].start
        super().__init__(columns.beside(NAME, width))
        self.shape, self.runs = (len(places), width), _runs(places)

    def meet(self, name: str, view: Tensor) -> Tensor:
        parts = [view[:, run] for run in self.runs]
        joined = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        # In bf16 the two squares would differ by little more than their rounding.
        exact = joined.to(torch.promote_types(view.dtype, torch.float32))
        v = exact.reshape(len(view), *self.shape)
        pairs = 0.5 * (v.sum(1).square() - v.square().sum(1))
        return torch.cat([view, pairs.to(view.dtype)], dim=1)


def _runs(places: Sequence[slice]) -> list[slice]:
    """Rising slices, those that touch as one: columns side by side are read without a copy."""
    runs = [places[0]]
    for place in places[1:]:
        if place.start == runs[-1].stop:
            runs[-1] = slice(runs[-1].start, place.stop)
        else:
            runs.append(place)
    return runs
