"""How tasks hang together: which towers a model has, and how their logits become the tasks' logits.

A relation is also its own configuration. torch is imported where tensors are touched, so that a
file can be checked without it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from recmtl.schema import Config, Task

if TYPE_CHECKING:
    from torch import Tensor

Tasks = Mapping[str, Task]


class Independent(Config):
    """A tower for each task with a loss; none knows of another."""

    kind: Literal["independent"] = "independent"
    accepts: ClassVar[frozenset[str]] = frozenset({"binary", "regression"})

    def refusal(self, tasks: Tasks, trained: frozenset[str]) -> str | None:
        """Why this relation cannot serve these tasks, or None."""
        return None

    def towers(self, tasks: Tasks, trained: frozenset[str]) -> tuple[str, ...]:
        """The tasks that get a tower, in the order of `tasks`."""
        return tuple(t for t in tasks if t in trained)

    def relate(self, raw: Mapping[str, "Tensor"], tasks: Tasks) -> dict[str, "Tensor"]:
        """The raw output of every task that this relation gives, from the towers' raw outputs."""
        return dict(raw)


class Product(Config):
    """A declared product is the product of its factors' probabilities (ESMM, Ma et al., SIGIR 2018).

    With a loss on the product, its factors are trained through it over the entire space.
    """

    kind: Literal["product"] = "product"
    accepts: ClassVar[frozenset[str]] = frozenset({"binary", "regression"})

    def refusal(self, tasks: Tasks, trained: frozenset[str]) -> str | None:
        if not any(task.product for task in tasks.values()):
            return "no task declares a product, e.g. ctcvr = { label = …, product = [\"ctr\", \"cvr\"] }"
        for name in tasks:
            if name in trained and tasks[name].product:
                return None
        return "no product has a loss: with a loss on its factors alone, independent is the same"

    def towers(self, tasks: Tasks, trained: frozenset[str]) -> tuple[str, ...]:
        factors = {f for t in trained for f in tasks[t].product}
        return tuple(t for t in tasks if t in factors or (t in trained and not tasks[t].product))

    def relate(self, raw: Mapping[str, "Tensor"], tasks: Tasks) -> dict[str, "Tensor"]:
        related = dict(raw)
        for name, task in tasks.items():
            if task.product and all(factor in raw for factor in task.product):
                related[name] = product_logit([raw[factor] for factor in task.product])
        return related


Relation = Annotated[Independent | Product, Field(discriminator="kind")]


def product_logit(logits: list["Tensor"]) -> "Tensor":
    """The logit of a product of probabilities, from their logits (…,); exact and finite, fp32 or more.

    For p = σ(a), q = σ(b): 1/(pq) − 1 = e^−a + e^−b + e^−(a+b), hence
    logit(pq) = −logsumexp(−a, −b, −a−b). Longer chains fold from the left.
    """
    import torch

    joint = logits[0].float() if logits[0].dtype != torch.float64 else logits[0]
    for factor in logits[1:]:
        other = factor.to(joint.dtype)
        joint = -torch.logsumexp(torch.stack([-joint, -other, -joint - other]), dim=0)
    return joint


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


def derive(identity: Identity, log_probability: Mapping[str, "Tensor"]) -> "Tensor":
    """log p of a derived task: Σ log p of the factors, or log p of the product less the others, ≤ 0."""
    import torch

    if identity.missing == identity.product:
        return torch.stack([log_probability[f] for f in identity.factors]).sum(dim=0)
    others = [log_probability[f] for f in identity.factors if f != identity.missing]
    return (log_probability[identity.product] - torch.stack(others).sum(dim=0)).clamp(max=0.0)
