"""The columns of those lists of a view whose look-up gives each value, not their mean."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from recmtl.batch import Columns, Layout, Ragged
from recmtl.model.pooling import Pooling


class PooledLists(nn.Module):
    """Fills a list's columns with what a module makes of its values: one for each list and view.

    `names` gives the lists in the order of their tables.
    """

    def __init__(self, pooling: Pooling, layout: Layout, columns: Columns, views: int) -> None:
        super().__init__()
        slots = [s for width in layout.tables for s in layout.lists if s.width == width]
        own = [slot for slot in slots if slot.name in pooling]
        self.names = tuple(slot.name for slot in own)
        self.places = [columns.slices[slot.name] for slot in own]
        self.targets = [columns.slices[pooling[slot.name].target] for slot in own]
        self.units = nn.ModuleList(
            pooling[slot.name].build(slot.width) for slot in own for _ in range(views)
        )

    def forward(
        self, views: Sequence[Tensor], values: Sequence[Tensor], lists: Mapping[str, Ragged]
    ) -> tuple[Tensor, ...]:
        """Views (B, W) without those columns, and the values (V, w) of each list a view → whole views."""
        filled = []
        for number, view in enumerate(views):
            pools, own = {}, slice(number, None, len(views))
            for name, place, target, given, unit in zip(
                self.names, self.places, self.targets, values[own], self.units[own], strict=True
            ):
                pools[place.start] = unit(given, lists[name], view[:, target])
            filled.append(_filled(view, pools))
        return tuple(filled)


def _filled(view: Tensor, pools: Mapping[int, Tensor]) -> Tensor:
    """The view with the pools in place of the columns that begin at their keys."""
    edges = sorted({0, view.shape[1], *pools, *(start + p.shape[1] for start, p in pools.items())})
    parts = zip(edges, torch.split(view, [end - start for start, end in pairwise(edges)], dim=1),
                strict=False)
    return torch.cat([pools.get(start, part) for start, part in parts], dim=1)
