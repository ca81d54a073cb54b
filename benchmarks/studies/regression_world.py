"""Two regressions whose weights have a given cosine, a world a seed: the MMoE paper's synthetic data.

Reference: Ma et al., Modeling Task Relationships in Multi-task Learning with Multi-gate
Mixture-of-Experts, KDD 2018, section 3.2. It leaves c, m, α and β open.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recmtl.seed import stream

INPUTS, SINES, NOISE = 100, 10, 0.1  # noise: standard deviation, so that its variance is the paper's .01
KNOWN = 4096  # rows from which a label's mean and spread are taken


@dataclass(frozen=True)
class Worlds:
    """y_k = w_kᵀx + Σ_i sin(α_i · w_kᵀx + β_i) + ε, standardised; x, α, β standard normal, |w_k| = 1.

    `weight` (S, T, INPUTS), `alpha` and `beta` (S, SINES), `mean` and `spread` of the labels (S, T).
    """

    seeds: Sequence[int]
    weight: Tensor
    alpha: Tensor
    beta: Tensor
    mean: Tensor
    spread: Tensor

    @classmethod
    def make(cls, seeds: Sequence[int], cosine: float) -> "Worlds":
        """w_1 = u_1, w_2 = p·u_1 + √(1 − p²)·u_2 with u_1, u_2 orthogonal unit vectors, p the cosine."""
        weights, waves = [], []
        for seed in seeds:
            rng = _generator(seed, "world")
            first, second = torch.linalg.qr(torch.randn(INPUTS, 2, generator=rng)).Q.unbind(1)
            weights.append(torch.stack([first, cosine * first + math.sqrt(1 - cosine**2) * second]))
            waves.append(torch.randn(2, SINES, generator=rng))
        alpha, beta = torch.stack(waves).unbind(1)
        count = len(seeds), len(weights[0])
        raw = cls(seeds, torch.stack(weights), alpha, beta, torch.zeros(count), torch.ones(count))
        _, labels = raw.rows("standardise").draw(KNOWN)
        spread, mean = torch.std_mean(labels, dim=1)
        return cls(seeds, raw.weight, alpha, beta, mean, spread)

    def rows(self, purpose: str) -> "Rows":
        """A stream of rows, a world's the same whatever other worlds stand beside it."""
        return Rows(self, [_generator(seed, purpose) for seed in self.seeds])

    def labels(self, x: Tensor) -> Tensor:
        """The labels of (S, B, INPUTS) without noise, before they are standardised: (S, B, T)."""
        z = torch.bmm(x, self.weight.transpose(1, 2))
        found = z.clone()
        for alpha, beta in zip(self.alpha.unbind(1), self.beta.unbind(1), strict=True):
            found += torch.sin(alpha[:, None, None] * z + beta[:, None, None])
        return found


@dataclass(frozen=True)
class Rows:
    """Rows of every world, each from a generator of its own."""

    worlds: Worlds
    generators: Sequence[torch.Generator]

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """The next inputs (S, B, INPUTS) and labels (S, B, T)."""
        worlds = self.worlds
        x = torch.empty(len(self.generators), count, INPUTS)
        noise = torch.empty(len(self.generators), count, worlds.weight.shape[1])
        for i, rng in enumerate(self.generators):
            torch.randn(count, INPUTS, generator=rng, out=x[i])
            torch.randn(noise.shape[1:], generator=rng, out=noise[i])
        raw = worlds.labels(x) + NOISE * noise
        return x, (raw - worlds.mean.unsqueeze(1)) / worlds.spread.unsqueeze(1)


def _generator(seed: int, purpose: str) -> torch.Generator:
    return torch.Generator().manual_seed(stream(seed, "study", purpose))
