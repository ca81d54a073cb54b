"""The product rule: the logit of a product of probabilities from the logits of its factors."""

from collections.abc import Mapping

import torch
from torch import Tensor

from recmtl.batch import Batch, Related
from recmtl.model.relation.module import RelationModule
from recmtl.page import Block
from recmtl.schema import Task


class ProductRule(RelationModule):
    """raw[product] = logit of Π σ(raw[factor]), for each declared product whose factors have towers."""

    def __init__(self, inputs: int, tasks: Mapping[str, Task]) -> None:
        super().__init__(inputs)
        self.products = {name: task.product for name, task in tasks.items() if task.product}

    def relate(self, raw: Mapping[str, Tensor], views: Mapping[str, Tensor], batch: Batch) -> Related:
        products = {
            name: product_logit([raw[factor] for factor in factors])
            for name, factors in self.products.items() if all(factor in raw for factor in factors)
        }
        return Related({**raw, **products})

    def drawn_outputs(
        self, raw: Mapping[str, Block], views: Mapping[str, Block]
    ) -> Mapping[str, Block]:
        return {**raw, **{
            name: Block(" · ".join(factors), ("product of probabilities",),
                        tuple(raw[factor] for factor in factors), role="relation")
            for name, factors in self.products.items() if all(factor in raw for factor in factors)
        }}


def product_logit(logits: list[Tensor]) -> Tensor:
    """The logit of a product of probabilities, from their logits (…,); exact and finite, fp32 or more.

    For p = σ(a), q = σ(b): 1/(pq) − 1 = e^−a + e^−b + e^−(a+b), hence
    logit(pq) = −logsumexp(−a, −b, −a−b). Longer chains fold from the left.
    """
    joint = logits[0].float() if logits[0].dtype != torch.float64 else logits[0]
    for factor in logits[1:]:
        other = factor.to(joint.dtype)
        joint = -torch.logsumexp(torch.stack([-joint, -other, -joint - other]), dim=0)
    return joint
