"""Many seeds side by side are what each is alone, and the regressions have the cosine that they claim."""

import math

import numpy as np
import pytest
import torch

from benchmarks.studies.regression_world import INPUTS, NOISE, Worlds
from benchmarks.studies.stacked import SHARINGS, Network, forward, stack
from benchmarks.studies.synthetic_mmoe import QUICK, losses, models, parameters, study, tables, train
from recmtl.seed import seed_everything

SEEDS = [3, 5]


@pytest.mark.parametrize("name", list(SHARINGS))
def test_each_seed_of_a_stack_is_recmtl_s_own_network_and_so_are_its_gradients(name: str) -> None:
    sharing = models()[name]
    weights = {n: w.detach().double().requires_grad_() for n, w in stack(sharing, INPUTS, SEEDS).items()}
    x = torch.randn(len(SEEDS), 7, INPUTS, dtype=torch.float64)
    y = torch.randn(len(SEEDS), 7, 2, dtype=torch.float64)
    found = forward(name, weights, x)
    losses(found, y).sum().backward()
    for i, seed in enumerate(SEEDS):
        seed_everything(seed, "study model", sharing.kind)
        alone = Network(sharing, INPUTS).double()
        with torch.no_grad():
            for parameter, stacked in zip(alone.parameters(), weights.values(), strict=True):
                assert torch.equal(parameter, stacked[i])
        out = alone(x[i])
        torch.testing.assert_close(found[i], out, rtol=0, atol=1e-6)
        (out - y[i]).square().mean().backward()
        for n, parameter in alone.named_parameters():
            torch.testing.assert_close(weights[n].grad[i], parameter.grad, rtol=0, atol=1e-6)


def test_models_have_as_many_parameters_as_each_other() -> None:
    counts = {name: parameters(sharing) for name, sharing in models().items()}
    # By hand: 8 experts of 100·16 + 16, a gate of 8·100 a task, towers of 16·8 + 8 + 8 + 1.
    assert counts["mmoe"] == 8 * (100 * 16 + 16) + 2 * 800 + 2 * (16 * 8 + 8 + 8 + 1)
    assert counts["omoe"] == counts["mmoe"] - 800
    one_more_unit = 100 + 1 + 2 * 8
    assert counts["mmoe"] - one_more_unit < counts["shared_bottom"] <= counts["mmoe"]


@pytest.mark.parametrize("cosine", [0.5, 0.9, 1.0])
def test_weights_have_the_cosine_and_labels_the_formula(cosine: float) -> None:
    worlds = Worlds.make(SEEDS, cosine)
    w = worlds.weight.double().numpy()
    np.testing.assert_allclose((w[:, 0] * w[:, 1]).sum(1), cosine, atol=1e-6)
    np.testing.assert_allclose((w**2).sum(2), 1, atol=1e-6)
    x = torch.randn(2, 5, INPUTS)
    z = np.einsum("sbd,std->sbt", x.double().numpy(), w)
    a, b = (v.double().numpy()[:, :, None, None] for v in (worlds.alpha, worlds.beta))
    expected = z + np.sin(a * z[:, None] + b).sum(1)
    np.testing.assert_allclose(worlds.labels(x).numpy(), expected, atol=1e-4)


def test_labels_of_two_tasks_agree_more_the_nearer_their_weights() -> None:
    correlations = []
    for cosine in (0.5, 0.9, 1.0):
        _, y = Worlds.make(range(8), cosine).rows("test").draw(2000)
        correlations.append(float((y[..., 0] * y[..., 1]).mean()))
        assert abs(float(y.mean())) < 0.05
        assert abs(float(y.std()) - 1) < 0.05
    assert correlations == sorted(correlations)
    assert correlations[2] > 0.95  # all but the noise


def test_noise_has_the_paper_s_variance() -> None:
    worlds = Worlds.make([1], 1.0)
    x, y = worlds.rows("test").draw(20_000)
    raw = y * worlds.spread.unsqueeze(1) + worlds.mean.unsqueeze(1)
    assert float((raw - worlds.labels(x)).std()) == pytest.approx(NOISE, rel=0.02)
    assert abs(NOISE**2 - 0.01) < 1e-12  # N(0, .01)


def test_a_seed_trains_to_the_same_losses_whatever_stands_beside_it() -> None:
    rates = {"mmoe": 1e-3}
    alone, among = (train(Worlds.make(seeds, 0.9), rates, QUICK)["mmoe"] for seeds in ([4], [2, 4, 9]))
    np.testing.assert_allclose(alone[:, 0], among[:, 1], rtol=1e-4)


def test_the_study_runs_to_its_tables() -> None:
    found = study(QUICK, lambda line: None)
    text = tables(found, QUICK)
    assert text.count("\n| 0.5 | ") == 1 + 1 + 3 + 3
    for part in found.values():
        assert set(part["rates"].values()) <= set(QUICK.rates)
        for curve in part["curves"].values():
            assert curve.shape == (QUICK.measured + 1, len(QUICK.seeds))
            assert curve[-1].mean() < curve[0].mean()
            assert math.isfinite(curve.sum())
