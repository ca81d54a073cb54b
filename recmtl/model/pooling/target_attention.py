"""The activation unit of the Deep Interest Network: a row's list, pooled by its target."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recmtl.batch import Ragged
from recmtl.kernels import owners
from recmtl.model.mlp import MLP, linear
from recmtl.model.pooling.activations import ACTIVATIONS


class TargetAttentionUnit(nn.Module):
    """Σ_j a(v_j, t) v_j over the values v_j of a row's list, t its target; 0 of an empty list.

    a(v, t) = w · h + b with h = MLP([v, t, v − t, v ⊙ t]), or the softmax of that over the list.

    Reference: Zhou et al., Deep Interest Network for Click-Through Rate Prediction, KDD 2018, section
    4.3, with PReLU or Dice as `activation`; the weights are not normalised there.
    """

    def __init__(self, width: int, hidden: Sequence[int], activation: str, softmax: bool) -> None:
        super().__init__()
        self.hidden = MLP(4 * width, hidden)
        other = ACTIVATIONS.get(activation)
        self.activations = nn.ModuleList([] if other is None else map(other, hidden))
        self.head = linear(self.hidden.outputs, 1)
        nn.init.ones_(self.head.bias)  # at the start about the sum of the list, not about nothing
        self.softmax = softmax

    def forward(self, values: Tensor, lists: Ragged, targets: Tensor) -> Tensor:
        """Embeddings (V, W) of the lists' values and (B, W) of the targets → (B, W)."""
        whose = owners(lists)
        target = targets.index_select(0, whose)
        exact = torch.promote_types(values.dtype, torch.float32)
        beyond = torch.arange(len(values), device=values.device) >= lists.offsets[-1]
        compared = torch.cat([values, target, values - target, values * target], dim=1)
        hidden = self._hidden(compared, (~beyond).unsqueeze(1).to(exact))
        with torch.autocast(values.device.type, enabled=False):
            weights: Tensor = self.head(hidden.to(self.head.weight.dtype)).squeeze(1).to(exact)
            if self.softmax:
                weights = _softmax(weights.masked_fill(beyond, -torch.inf), whose, len(targets))
            weighed = weights.masked_fill(beyond, 0.0).unsqueeze(1) * values.to(exact)
            pooled = weighed.new_zeros(targets.shape).index_add(0, whose, weighed)
        return pooled.to(values.dtype)

    def _hidden(self, x: Tensor, counted: Tensor) -> Tensor:
        """(V, hidden[-1]); `counted` is 1 for the values that are a list's, (V, 1)."""
        if not self.activations:
            found: Tensor = self.hidden(x)
            return found
        for layer, activation in zip(self.hidden, self.activations, strict=True):
            x = activation(layer(x), counted)
        return x


def _softmax(logits: Tensor, whose: Tensor, rows: int) -> Tensor:
    """Over the values of each row: (V,) logits, the row of each (V,)."""
    highest = logits.new_zeros(rows).scatter_reduce(
        0, whose, logits.detach(), "amax", include_self=False
    )
    powers = (logits - highest.index_select(0, whose)).exp()
    sums = powers.new_zeros(rows).index_add(0, whose, powers)
    return powers / sums.index_select(0, whose)
