"""Tasks that follow from others by a declared product: which, and from what."""

from typing import TYPE_CHECKING

from recmtl.model.relation import Tasks
from recmtl.schema import Config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class Identity(Config):
    """A task that is derived from others: product = Π factors, or its missing factor by division."""

    product: str
    factors: tuple[str, ...]
    missing: str  # the product's name, or the factor's


def derivable(tasks: Tasks, given: frozenset[str]) -> dict[str, Identity]:
    """Tasks that are not `given` but follow from those that are by a declared product."""
    derived: dict[str, Identity] = {}
    for name, task in tasks.items():
        if not task.product:
            continue
        absent = [t for t in (name, *task.product) if t not in given]
        if len(absent) == 1 and absent[0] not in derived:
            derived[absent[0]] = Identity(product=name, factors=task.product, missing=absent[0])
    return derived


def derive(identity: Identity, log_probability: "Mapping[str, Tensor]") -> "Tensor":
    """log p of a derived task: Σ log p of the factors, or log p of the product less the others, ≤ 0."""
    import torch

    if identity.missing == identity.product:
        return torch.stack([log_probability[f] for f in identity.factors]).sum(dim=0)
    others = [log_probability[f] for f in identity.factors if f != identity.missing]
    return (log_probability[identity.product] - torch.stack(others).sum(dim=0)).clamp(max=0.0)
