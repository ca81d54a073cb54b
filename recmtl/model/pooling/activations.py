"""The activations of the Deep Interest Network: from the units of all values of a batch to the same."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOMENTUM = 0.1  # of a batch in the moving averages
EPSILON = 1e-8  # of the paper


class PReLU(nn.Module):
    """s where s > 0, else α s, with an α a unit, 0 at the start as in the authors' code.

    Reference: He et al., Delving Deep into Rectifiers, ICCV 2015.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(units))

    def forward(self, s: Tensor, counted: Tensor) -> Tensor:
        """(V, units) of all values, and which of them are a list's, (V, 1) of 0 and 1."""
        return F.prelu(s, self.alpha.to(s.dtype))


class Dice(nn.Module):
    """p(s) s + (1 − p(s)) α s with p(s) = σ((s − E[s]) / √(Var[s] + ε)), an α a unit, 0 at the start.

    In training E and Var are those of a unit over the values of the batch, of every row, and gradients
    pass through them; elsewhere their moving averages. Each process of a group takes its own values.

    Reference: Zhou et al., Deep Interest Network for Click-Through Rate Prediction, KDD 2018, section
    5.2, Data Adaptive Activation Function.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, units: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(units))
        self.register_buffer("mean", torch.zeros(units))
        self.register_buffer("variance", torch.ones(units))

    def forward(self, s: Tensor, counted: Tensor) -> Tensor:
        """As PReLU's; in fp32 or more."""
        with torch.autocast(s.device.type, enabled=False):
            s = s.to(torch.promote_types(s.dtype, torch.float32))
            mean, variance = self._measured(s, counted) if self.training else (self.mean, self.variance)
            share = ((s - mean) * (variance + EPSILON).rsqrt()).sigmoid()
            return s * torch.addcmul(self.alpha, 1.0 - self.alpha, share)

    def _measured(self, s: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
        """Those of this batch, which move the averages unless it has no value."""
        count = counted.sum()
        shares = (counted / count.clamp(min=1)).t()  # sums as products, of fewer passes over memory
        mean = shares @ s
        variance = shares @ (s - mean).square()
        with torch.no_grad():
            for kept, found in ((self.mean, mean), (self.variance, variance)):
                kept.lerp_(found[0], MOMENTUM * (count > 0).to(found.dtype))
        return mean, variance


ACTIVATIONS = {"prelu": PReLU, "dice": Dice}  # beside ReLU, which the loops of a network have in them
