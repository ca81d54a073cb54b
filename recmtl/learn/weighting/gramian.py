"""Factors of tasks from the inner products of their gradients, a function a method.

All take the Gramian G (T, T) of T ≥ 2 gradients g_t of the tasks' losses, none of them 0, in fp64 and
scaled to a mean diagonal of 1, and give factors a (T,): the model moves against Σ a_t g_t. A factor of 1
leaves a task its weight; methods that say no more than a direction get a mean of 1.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from scipy.optimize import brentq, nnls

from recmtl.learn.weighting.gradients import Array, Method

RIDGE = 1e-9  # keeps a bargain finite between gradients that cancel each other
STEPS = 200  # of Newton's method at most: some ten are enough


def pcgrad(gramian: Array) -> Array:
    """Σ_t of g_t, of which each other task's conflicting part is taken away, one by one.

    Where ⟨g, g_s⟩ < 0: g ← g − ⟨g, g_s⟩ / |g_s|² · g_s, the s in an order drawn anew for each t.

    Reference: Yu et al., Gradient Surgery for Multi-Task Learning, NeurIPS 2020, algorithm 1.
    """
    tasks = len(gramian)
    total = np.zeros(tasks)
    for task, own in enumerate(np.eye(tasks)):
        for other in torch.randperm(tasks).tolist():
            conflict = min(gramian[other] @ own, 0.0) if other != task else 0.0
            own[other] -= conflict / gramian[other, other]
        total += own
    return total


def mgda(gramian: Array) -> Array:
    """The shortest of all Σ a_t g_t with a ≥ 0 and Σ a = T.

    Reference: Désidéri, Multiple-gradient descent algorithm, C. R. Math. 2012; Sener and Koltun, NeurIPS
    2018, whose Frank-Wolfe steps come near it.
    """
    return len(gramian) * _shortest(gramian)


def cagrad(gramian: Array, c: float) -> Array:
    """T · d, d the vector in a ball around the mean gradient g_0 for which min_t ⟨g_t, d⟩ is greatest.

    With a radius of ρ = c · |g_0| that is d = g_0 + ρ · g_w / |g_w|, where g_w = Σ w_t g_t, w on the
    simplex, makes ⟨g_w, g_0⟩ + ρ · |g_w| least. Given |g_w| = r it is that of the shortest
    Σ w_t (g_t + r / ρ · g_0): r is found as a root.

    Reference: Liu et al., Conflict-Averse Gradient Descent for Multi-task Learning, NeurIPS 2021.
    """
    tasks = len(gramian)
    mean = np.full(tasks, 1 / tasks)
    radius = c * _length(gramian, mean)
    if radius < 1e-9:  # the ball is a point
        return np.ones(tasks)

    def worst(length: float) -> Array:
        shift = np.eye(tasks) + length / radius * np.outer(np.ones(tasks), mean)
        return _shortest(shift @ gramian @ shift.T)

    longest = float(np.sqrt(gramian.diagonal().max()))
    found = brentq(lambda r: r - _length(gramian, worst(r)), 0.0, longest, xtol=1e-14)
    weights = worst(found)
    length = _length(gramian, weights)
    return np.ones(tasks) + tasks * radius / length * weights if length > 1e-9 else np.ones(tasks)


def imtl_g(gramian: Array) -> Array:
    """The Σ a_t g_t, Σ a = T, whose projections on all g_t / |g_t| are equal; factors may be negative.

    G a is a multiple of the lengths. Where the g_t depend on each other, the shortest a.

    Reference: Liu et al., Towards Impartial Multi-task Learning, ICLR 2021, equation 6.
    """
    found = np.linalg.pinv(gramian, rcond=1e-10, hermitian=True) @ np.sqrt(gramian.diagonal())
    total = found.sum()
    return len(found) * found / total if abs(total) > 1e-6 else np.ones(len(found))


def nash_mtl(gramian: Array) -> Array:
    """The a > 0 with G a = 1 / a, scaled to Σ a = T.

    Of all vectors d of its length Σ a_t g_t has the greatest Π_t ⟨g_t, d⟩. It is found for unit vectors,
    as a_t |g_t| does not depend on lengths: there a minimises aᵀ G a / 2 − Σ log a_t, which is
    self-concordant, so that damped Newton steps stay above 0.

    Reference: Navon et al., Multi-Task Learning as a Bargaining Game, ICML 2022, claim 3.1.
    """
    lengths = np.sqrt(gramian.diagonal())
    curved = gramian / np.outer(lengths, lengths) + RIDGE * np.eye(len(gramian))
    found = np.ones(len(gramian))
    for _ in range(STEPS):
        slope = curved @ found - 1 / found
        step = np.linalg.solve(curved + np.diag(found**-2), slope)
        decrement = math.sqrt(max(float(slope @ step), 0.0))
        found -= step / (1 + decrement if decrement > 0.25 else 1.0)
        if decrement < 1e-12:
            break
    factors: Array = found / lengths
    scaled: Array = len(factors) * factors / factors.sum()
    return scaled


def upgrad(gramian: Array) -> Array:
    """Σ_t of the vector nearest to g_t that no task's gradient is against: ⟨g_s, ·⟩ ≥ 0 for all s.

    Its factors are e_t + z, z ≥ 0 making it the shortest.

    Reference: Quinton and Rey, Jacobian Descent for Multi-Objective Optimization, 2024, equation 5.
    """
    root = _root(gramian)
    return sum((own + nnls(root, -root @ own)[0] for own in np.eye(len(gramian))), np.zeros(len(gramian)))


METHODS: Mapping[str, Method] = {
    "pcgrad": pcgrad, "mgda": mgda, "imtl_g": imtl_g, "nash_mtl": nash_mtl, "upgrad": upgrad,
}


def _shortest(gramian: Array) -> Array:
    """The w on the simplex with the least wᵀ G w: that of the least |R u|² + (Σ u − 1)², u ≥ 0, scaled.

    Both have the same conditions: (G w)_t is least, and the same, for all t with w_t > 0.
    """
    tasks = len(gramian)
    found, _ = nnls(np.vstack([_root(gramian), np.ones(tasks)]), np.append(np.zeros(tasks), 1.0))
    weights: Array = found / found.sum()
    return weights


def _root(gramian: Array) -> Array:
    """R with Rᵀ R = G; what rounding has left below 0 is 0."""
    values, vectors = np.linalg.eigh(gramian)
    root: Array = (vectors * np.sqrt(np.maximum(values, 0.0))).T
    return root


def _length(gramian: Array, factors: Array) -> float:
    """|Σ a_t g_t|."""
    return math.sqrt(max(float(factors @ gramian @ factors), 0.0))
