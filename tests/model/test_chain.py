"""The chains' own backward against autograd through plain layers."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from recmtl.kernels import Layer, products
from recmtl.model.chain import chains, ended, mixtures, networks
from tests.kernels import compiler

ROWS, INPUTS = 37, 11


@pytest.fixture(autouse=True, params=["ours", "torch's"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever library multiplies on this processor, the tests are run on both."""
    if request.param == "ours":
        compiler.need(products=True)
    monkeypatch.setattr(products, "_mkl_is_slow", lambda: request.param == "ours")


def parameters(count: int, widths: list[int], seed: int = 0) -> tuple[Tensor, list[Layer]]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).requires_grad_()

    layers: list[Layer] = [[(draw(count * widths[0], INPUTS), draw(count * widths[0]))]]
    for below, above in pairwise(widths):
        layers.append([(draw(above, below), draw(above)) for _ in range(count)])
    return draw(ROWS, INPUTS), layers


def plainly(x: Tensor, layers: list[Layer], count: int) -> Tensor:
    """The same by torch's own functions, a chain at a time."""
    ((weight, bias),) = layers[0]
    outs = []
    for k in range(count):
        h = F.relu(F.linear(x, weight.chunk(count)[k], bias.chunk(count)[k]))
        for layer in layers[1:]:
            h = F.relu(F.linear(h, *layer[k]))
        outs.append(h)
    return torch.cat(outs, dim=1)


def gradients(out: Tensor, x: Tensor, layers: list[Layer]) -> list[Tensor]:
    leaves = [x, *(tensor for layer in layers for pair in layer for tensor in pair)]
    weights = torch.linspace(-1.0, 2.0, out.numel()).view_as(out)
    return list(torch.autograd.grad((out.float() * weights).sum(), leaves))


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("widths", [[6], [6, 4], [6, 4, 3]])
def test_values_and_gradients_are_those_of_plain_layers(count: int, widths: list[int]) -> None:
    x, layers = parameters(count, widths)
    ours, theirs = chains(x, layers), plainly(x, layers, count)
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(gradients(ours, x, layers), gradients(theirs, x, layers), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_groups_of_chains_read_a_part_of_the_input_each(dtype: torch.dtype) -> None:
    x, layers = parameters(3, [6, 4])
    ((weight, bias),), above = layers
    both = torch.cat([x, x.flip(0)], dim=1).detach().to(dtype).requires_grad_()
    grouped: list[Layer] = [[(weight[:6], bias[:6]), (weight[6:], bias[6:])], list(above)]
    grouped = [[(w.detach().to(dtype).requires_grad_(), b.detach().to(dtype).requires_grad_())
                for w, b in layer] for layer in grouped]
    one, two = ([layer[:1] for layer in grouped], [[grouped[0][1]], grouped[1][1:]])
    theirs = torch.cat([plainly(both[:, :INPUTS], one, 1), plainly(both[:, INPUTS:], two, 2)], dim=1)
    ours = chains(both, grouped)
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(gradients(ours, both, grouped), gradients(theirs, both, grouped), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_task_that_does_not_teach_a_chain_leaves_it_without_gradient(dtype: torch.dtype) -> None:
    x, layers = parameters(3, [4])
    weight, bias = (tensor.detach().to(dtype).requires_grad_() for tensor in layers[0][0])
    gates = torch.rand(ROWS, 2, 3).softmax(-1).to(dtype).requires_grad_()
    teaches = torch.tensor([[1, 0, 1], [0, 1, 1]]).to(dtype)
    ours = torch.stack(mixtures(x.detach().to(dtype), gates, [[(weight, bias)]], 0.0, teaches), dim=1)
    outs = plainly(x.detach().to(dtype), [[(weight, bias)]], 3).view(ROWS, 1, 3, 4)
    heard = torch.where(teaches.bool().view(1, 2, 3, 1), outs, outs.detach())
    theirs = (gates.unsqueeze(3) * heard).sum(2)
    torch.testing.assert_close(ours, theirs)
    weights = torch.linspace(-1.0, 2.0, ours.numel(), dtype=dtype).view_as(ours)
    leaves = [gates, weight, bias]
    found = torch.autograd.grad((ours * weights).sum(), leaves)
    for a, b in zip(found, torch.autograd.grad((theirs * weights).sum(), leaves), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("widths", [[], [6], [6, 4]])
@pytest.mark.parametrize("outputs", [1, 5])
def test_the_last_layer_of_a_chain_that_ends_has_no_relu(widths: list[int], outputs: int) -> None:
    x, layers = parameters(1, [*widths, outputs])
    *hidden, ((weight, bias),) = layers
    bias.data -= 8.0
    out = ended(x, hidden, (weight, bias))
    theirs = F.linear(plainly(x, hidden, 1) if hidden else x, weight, bias)
    torch.testing.assert_close(out, theirs)
    assert (out < 0).any()
    for a, b in zip(gradients(out, x, layers), gradients(theirs, x, layers), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_a_chain_ends_in_fp32_under_autocast() -> None:
    x, (first, ((weight, bias),)) = parameters(1, [16, 2])
    with torch.autocast("cpu", torch.bfloat16):
        hidden, out = chains(x, [first]), ended(x, [first], (weight, bias))
    assert out.dtype == torch.float32
    assert torch.equal(out, F.linear(hidden.float(), weight, bias))


def test_what_drops_out_of_a_chain_that_ends_is_hidden() -> None:
    torch.manual_seed(1)
    x, one = torch.ones(20_000, 1), (torch.ones(1, 1), torch.zeros(1))
    out = ended(x, [[one]], (torch.full((1, 1), -3.0), torch.ones(1)), dropout=0.25)
    assert out.unique().tolist() == pytest.approx([-3.0, 1.0])  # 1 − 3 · 4/3, and 1


def test_bf16_gives_gradients_in_the_parameters_precision() -> None:
    x, layers = parameters(2, [16, 8])
    with torch.autocast("cpu", torch.bfloat16):
        out = chains(x, layers)
    assert out.dtype == torch.bfloat16
    exact = gradients(plainly(x, layers, 2), x, layers)
    for found, wanted in zip(gradients(out, x, layers), exact, strict=True):
        assert found.dtype == torch.float32
        assert F.cosine_similarity(found.flatten(), wanted.flatten(), dim=0) > 0.995


def test_dropout_keeps_the_mean_and_its_mask_in_the_gradient() -> None:
    torch.manual_seed(1)
    x = torch.ones(20_000, 1, requires_grad=True)
    weight, bias = torch.ones(1, 1), torch.zeros(1)
    out = chains(x, [[(weight, bias)]], dropout=0.25)
    assert out.detach().unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert float(out.detach().mean()) == pytest.approx(1.0, abs=0.02)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient, out)  # the slope is 1 / 0.75 where a unit stayed, 0 where it fell out


def test_an_input_without_gradient_needs_none() -> None:
    x, layers = parameters(2, [4, 3])
    out = chains(x.detach(), layers)
    out.sum().backward()
    assert all(tensor.grad is not None for layer in layers for pair in layer for tensor in pair)


def test_a_gradient_that_others_read_is_left_alone() -> None:
    """Autograd hands one tensor to both sides of a sum, to what was made last first."""
    x, layers = parameters(1, [16])
    other = torch.randn(ROWS, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
    scaled = 1.0 * other
    total = chains(x, layers) + scaled
    total.square().sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(other.grad, 2 * total.detach())


def test_a_nan_comes_through() -> None:
    x, layers = parameters(1, [4, 3])
    spoiled = x.detach().clone()
    spoiled[3, 2] = float("nan")
    assert chains(spoiled, layers)[3].isnan().any()


def test_mixtures_are_the_sums_of_chains_and_their_gradients() -> None:
    x, layers = parameters(3, [6, 4])
    gates = torch.rand(ROWS, 2, 3).softmax(-1).requires_grad_()
    leaves = [x, gates, *(tensor for layer in layers for pair in layer for tensor in pair)]
    ours = torch.stack(mixtures(x, gates, layers), dim=1)
    theirs = gates @ plainly(x, layers, 3).view(ROWS, 3, 4)
    torch.testing.assert_close(ours, theirs)
    weights = torch.linspace(-1.0, 2.0, ours.numel()).view_as(ours)
    found = torch.autograd.grad((ours * weights).sum(), leaves)
    for a, b in zip(found, torch.autograd.grad((theirs * weights).sum(), leaves), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("asked", [(0, 1), (1,)])
def test_networks_are_chains_of_their_own(alike: bool, asked: tuple[int, ...]) -> None:
    """One that nothing is asked of has no gradient: no optimizer moves it."""
    x, first = parameters(1, [6, 4], seed=0)
    _, second = parameters(1, [6, 4], seed=1)
    layers = [[a, b] for (a,), (b,) in zip(first, second, strict=True)]
    views = [x, x if alike else x.detach().clone().requires_grad_()]
    leaves = [*dict.fromkeys(views), *(tensor for layer in layers for pair in layer for tensor in pair)]

    def found(outs: tuple[Tensor, ...]) -> list[Tensor | None]:
        total = torch.stack([(outs[k] * torch.linspace(-1, 1, 4)).sum() for k in asked]).sum()
        return [*torch.autograd.grad(total, leaves, allow_unused=True)]

    apart = tuple(chains(view, own) for view, own in zip(views, (first, second), strict=True))
    together = networks(views, layers)
    torch.testing.assert_close(together, apart)
    for a, b in zip(found(together), found(apart), strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
