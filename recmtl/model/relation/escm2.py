"""Counterfactual learning of conversions over all impressions, of which clicked ones alone show one."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recmtl.batch import Batch, Related
from recmtl.model.boxes import box
from recmtl.model.mlp import Tower
from recmtl.model.relation.module import RelationModule, mean_of_rows
from recmtl.model.relation.product import ProductRule
from recmtl.page import Block
from recmtl.schema import Task


class EntireSpace(RelationModule):
    """The product rule, and in training the conversion's rows weigh 1 / ô: inverse propensity (IPS).

    ô = max(clip, σ(raw of the click's task)), without gradient. With an `imputation` the conversion's
    risk is the doubly robust one (DR).

    Reference: Wang et al., ESCM²: Entire Space Counterfactual Multi-Task Model for Post-Click Conversion
    Rate Estimation, SIGIR 2022.
    """

    def __init__(
        self, inputs: int, tasks: Mapping[str, Task], clip: float, imputation: "Imputation | None"
    ) -> None:
        super().__init__(inputs)
        self.product = ProductRule(inputs, tasks)
        ((self.click, self.conversion),) = self.product.products.values()
        self.labels = tasks[self.click].labels[0], tasks[self.conversion].labels[0]
        self.clip, self.imputation = clip, imputation

    def relate(self, raw: Mapping[str, Tensor], views: Mapping[str, Tensor], batch: Batch) -> Related:
        related = self.product.relate(raw, views, batch)
        if not self.training:
            return related
        inverse = raw[self.click].detach().sigmoid().clamp(min=self.clip).reciprocal()
        penalties: dict[str, Tensor] = {}
        if self.imputation is not None:
            click, label = (batch.labels[name] for name in self.labels)
            observed = (click == 1) & ~label.isnan()
            known = observed | (click == 0)  # without a click nothing is asked of the conversion's label
            error = F.binary_cross_entropy_with_logits(
                raw[self.conversion], torch.where(observed, label, 0.0), reduction="none"
            )
            penalties = self.imputation(
                views[self.conversion], error, torch.where(observed, inverse, 0.0),
                torch.where(known, batch.weight, 0.0),
            )
        return Related(related.raw, {self.conversion: inverse}, penalties)

    def drawn_outputs(
        self, raw: Mapping[str, Block], views: Mapping[str, Block]
    ) -> Mapping[str, Block]:
        told = [raw[self.click]]
        if self.imputation is not None:
            read = [views[self.conversion]]
            told.append(box("imputation of the error", self.imputation, read, role="relation"))
        weighed = Block(
            f"{self.conversion} over all rows", (f"in training by 1 / p({self.click})",),
            (raw[self.conversion],), tuple(told), role="relation",
        )
        return self.product.drawn_outputs({**raw, self.conversion: weighed}, views)


class Imputation(nn.Module):
    """What the conversion's error e would be on rows without a click: ê = softplus(tower of its view).

    Means over rows, by their weights: `correction` · ê (1 − o/ô), which makes the IPS risk o e/ô the
    doubly robust ê + o (e − ê)/ô, and `weight` · o (e − ê)²/ô, from which ê is learned; o is 1 where
    clicked.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], correction: float, weight: float) -> None:
        super().__init__()
        self.tower = Tower(inputs, hidden)
        self.correction, self.weight = correction, weight

    def forward(self, view: Tensor, error: Tensor, inverse: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """From a view (B, H), errors, o/ô and weights of rows (B,)."""
        imputed = F.softplus(self.tower(view))
        return {
            "correction": self.correction * mean_of_rows(weight * imputed * (1.0 - inverse)),
            "imputation": self.weight * mean_of_rows(weight * inverse * (error - imputed).square()),
        }
