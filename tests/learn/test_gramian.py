"""Each method's factors against what its paper asks for, written out on vectors in fp64."""

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, NonlinearConstraint, minimize

from recmtl.learn.weighting.gradients import Array
from recmtl.learn.weighting.gramian import METHODS, cagrad, imtl_g, mgda, nash_mtl, pcgrad, upgrad

TWO = np.array([[1.0, 0.2, -0.3], [-0.7, 0.9, 0.4]])  # they conflict
THREE = np.array([[1.0, 0.2, -0.3, 0.5], [-0.7, 0.9, 0.4, 0.1], [0.3, -1.2, 0.8, -0.4]])


def gramian(gradients: Array) -> Array:
    return gradients @ gradients.T


def test_two_gradients_conflict() -> None:
    assert gramian(TWO)[0, 1] < 0 and gramian(THREE)[1, 2] < 0


def test_pcgrad_takes_away_what_conflicts() -> None:
    first, second = TWO
    projected = first - first @ second / (second @ second) * second
    projected += second - second @ first / (first @ first) * first
    np.testing.assert_allclose(pcgrad(gramian(TWO)) @ TWO, projected, atol=1e-12)


@pytest.mark.parametrize("gradients", [
    THREE,
    np.array([[1.3, 0.9], [-0.7, -1.3], [-0.6, 0.0]]),  # what is left of the first conflicts with it
])
def test_pcgrad_projects_in_an_order_that_is_drawn_anew(gradients: Array) -> None:
    def projected(orders: list[list[int]]) -> Array:
        total = np.zeros(gradients.shape[1])
        for task, order in enumerate(orders):
            vector = gradients[task]
            for other in order:
                inner = vector @ gradients[other]
                if other != task and inner < 0:
                    vector = vector - inner / (gradients[other] @ gradients[other]) * gradients[other]
            total += vector
        return total

    found = []
    for seed in range(6):
        torch.manual_seed(seed)
        orders = [torch.randperm(3).tolist() for _ in range(3)]
        torch.manual_seed(seed)
        found.append(pcgrad(gramian(gradients)) @ gradients)
        np.testing.assert_allclose(found[-1], projected(orders), atol=1e-12)
    assert any(not np.allclose(found[0], other) for other in found[1:])


def test_mgda_is_the_shortest_vector_between_two() -> None:
    """In closed form (Sener and Koltun, algorithm 1): on the line between them, or an end of it."""
    for first, second in ([*TWO], [TWO[0], 3 * TWO[0] + 0.1 * TWO[1]]):
        share = np.clip((second - first) @ second / ((first - second) @ (first - second)), 0.0, 1.0)
        found = mgda(gramian(np.array([first, second])))
        np.testing.assert_allclose(found, [2 * share, 2 * (1 - share)], atol=1e-9)


def simplex(tasks: int) -> LinearConstraint:
    return LinearConstraint(np.ones(tasks), 1.0, 1.0)


def test_mgda_of_three_is_the_least_point_of_a_quadratic_program() -> None:
    for gradients in (THREE, THREE + 0.5):  # inside the triangle, and on an edge of it
        g = gramian(gradients)
        best = minimize(
            lambda w, g=g: w @ g @ w, np.full(3, 1 / 3), jac=lambda w, g=g: 2 * g @ w,
            bounds=[(0, 1)] * 3, constraints=simplex(3), method="SLSQP", options={"ftol": 1e-16},
        )
        np.testing.assert_allclose(mgda(g), 3 * best.x, atol=1e-6)


@pytest.mark.parametrize("c", [0.2, 0.7])
@pytest.mark.parametrize("gradients", [TWO, THREE])
def test_cagrad_helps_the_worst_task_most_in_its_ball(gradients: Array, c: float) -> None:
    """The paper's own problem, in the vector d and the least inner product t: max t."""
    mean = gradients.mean(0)
    radius = c * np.linalg.norm(mean)
    best = minimize(
        lambda x: -x[-1], np.append(mean, (gradients @ mean).min()),
        jac=lambda x: np.append(np.zeros(len(mean)), -1.0), method="SLSQP", options={"ftol": 1e-16},
        constraints=[
            LinearConstraint(np.column_stack([gradients, -np.ones(len(gradients))]), 0.0, np.inf),
            NonlinearConstraint(lambda x: (x[:-1] - mean) @ (x[:-1] - mean), -np.inf, radius**2,
                                jac=lambda x: np.append(2 * (x[:-1] - mean), 0.0)),
        ],
    )
    found = cagrad(gramian(gradients), c) @ gradients / len(gradients)
    np.testing.assert_allclose(found, best.x[:-1], atol=1e-6)


def test_cagrad_in_a_ball_of_no_size_is_the_mean() -> None:
    np.testing.assert_array_equal(cagrad(gramian(TWO), 0.0), [1.0, 1.0])


@pytest.mark.parametrize("gradients", [TWO, THREE])
def test_imtl_g_projects_equally_on_all(gradients: Array) -> None:
    factors = imtl_g(gramian(gradients))
    units = gradients / np.linalg.norm(gradients, axis=1, keepdims=True)
    projections = units @ (factors @ gradients)
    np.testing.assert_allclose(projections, projections[0], rtol=1e-9)
    assert factors.sum() == pytest.approx(len(gradients), abs=1e-9)


def test_imtl_g_of_two_is_liu_s_closed_form() -> None:
    """α of the second: g_1 · (u_1 − u_2) / ((g_1 − g_2) · (u_1 − u_2)), equation 6."""
    first, second = TWO
    apart = first / np.linalg.norm(first) - second / np.linalg.norm(second)
    share = first @ apart / ((first - second) @ apart)
    np.testing.assert_allclose(imtl_g(gramian(TWO)), [2 * (1 - share), 2 * share], atol=1e-9)


@pytest.mark.parametrize("gradients", [TWO, THREE, THREE * [[1e-2], [1.0], [30.0]]])
def test_nash_is_the_fixed_point_of_the_bargain(gradients: Array) -> None:
    """G a = 1 / a up to the scale of a: what a task gains, a_t · ⟨g_t, Σ a g⟩, is the same for all."""
    factors = nash_mtl(gramian(gradients))
    gains = factors * (gramian(gradients) @ factors)
    assert (factors > 0).all() and factors.sum() == pytest.approx(len(gradients), abs=1e-9)
    np.testing.assert_allclose(gains, gains[0], rtol=1e-6)


@pytest.mark.parametrize("gradients", [TWO, THREE])
def test_upgrad_projects_each_on_what_harms_no_task(gradients: Array) -> None:
    """The paper's own problem: of all vectors with no negative product, the one nearest to g_t."""
    total = np.zeros(gradients.shape[1])
    for own in gradients:
        total += minimize(
            lambda x, own=own: (x - own) @ (x - own), own, jac=lambda x, own=own: 2 * (x - own),
            constraints=LinearConstraint(gradients, 0.0, np.inf), method="SLSQP", options={"ftol": 1e-16},
        ).x
    found = upgrad(gramian(gradients)) @ gradients
    np.testing.assert_allclose(found, total, atol=1e-6)
    assert (gradients @ found > -1e-9).all()


AGREEING = np.array([[1.0, 0.5], [0.5, 1.0]])


@pytest.mark.parametrize("method", [pcgrad, upgrad])
def test_gradients_that_agree_keep_their_weights(method: object) -> None:
    np.testing.assert_allclose(method(gramian(AGREEING)), [1.0, 1.0], atol=1e-12)  # type: ignore[operator]


@pytest.mark.parametrize("name", [*METHODS, "cagrad"])
@pytest.mark.parametrize("gradients", [
    np.array([[1.0, 0.0], [-1.0, 0.0]]),  # opposite
    np.array([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0]]),  # parallel
    np.array([[1e-6, 0.0], [0.3, 1.4]]),
    np.vstack([THREE[:2], THREE[0] - THREE[1]]),  # depend on each other
], ids=["opposite", "parallel", "lengths", "dependent"])
def test_factors_are_finite_where_gradients_are_degenerate(name: str, gradients: Array) -> None:
    """In fp32, as they come from a batch: rounding leaves eigenvalues below 0."""
    g = gramian(gradients.astype(np.float32)).astype(np.float64)
    g /= g.diagonal().mean()
    factors = cagrad(g, 0.4) if name == "cagrad" else METHODS[name](g)
    assert np.isfinite(factors).all()
    assert np.abs(factors).max() < 1e6
