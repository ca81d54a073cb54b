"""Products of matrices, and whole chains of layers, in C++ and by torch against the same in fp64."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from benchmarks.floor import weight_gradient
from recmtl.kernels import (
    chain_gradients,
    chain_values,
    products,
    side_by_side,
)
from tests.kernels import compiler

ROWS, INPUTS, OUTPUTS = 150, 37, 21
# Rows, inputs, and the weights (outputs, inputs) of each layer. Widths around those of vectors, panels
# and strips; more terms than are added at a time; more rows than a block has, and than one thread takes.
Shapes = list[list[tuple[int, int]]]
SHAPES: list[tuple[int, int, Shapes]] = [
    (2500, 37, [[(21, 37)], [(5, 21)]]), (300, 37, [[(21, 37)], [(5, 21)]]),
    (200, 512, [[(3, 512)]]), (1, 1, [[(1, 1)]]), (7, 600, [[(70, 600)], [(64, 70)]]),
    (131, 48, [[(16, 48)], [(33, 16)], [(7, 33)]]), (4000, 20, [[(12, 20)], [(5, 6), (5, 6)]]),
    (130, 30, [[(6, 10), (8, 20)], [(3, 6), (4, 8)]]), (0, 9, [[(4, 9)], [(3, 4)]]),
    (4000, 17, [[(9, 17), (9, 17)], [(4, 9), (4, 9)]]),  # both read the whole input
]


@pytest.fixture(params=[True, False], ids=["ours", "mkl"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        compiler.need(products=True)
    monkeypatch.setattr(products, "_mkl_is_slow", lambda: request.param)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("count", [1, 3])
def test_each_weight_goes_over_its_own_columns(count: int) -> None:
    x = draw(ROWS, count * INPUTS)
    weights = [draw(OUTPUTS + k, INPUTS) for k in range(count)]
    expected = [
        part.double() @ weight.double().t()
        for part, weight in zip(x.chunk(count, 1), weights, strict=True)
    ]
    close(side_by_side(x, weights), torch.cat(expected, 1))


@pytest.mark.usefixtures("library")
def test_a_weight_may_be_a_transposed_view() -> None:
    x, weight = draw(ROWS, OUTPUTS), draw(OUTPUTS, INPUTS)
    close(side_by_side(x, [weight.t()]), x.double() @ weight.double())


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("first", [0, 16])
@pytest.mark.parametrize("outputs", [OUTPUTS, 2 * INPUTS])
def test_the_gradient_of_a_weight_from_parts_of_wider_matrices(first: int, outputs: int) -> None:
    gradient = draw(ROWS, outputs + 16)[:, first : first + outputs]
    x = draw(ROWS, 2 * INPUTS)[:, first : first + INPUTS]
    close(weight_gradient(gradient, x), gradient.double().t() @ x.double())


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("outputs", [OUTPUTS, 2 * INPUTS])
def test_the_gradient_of_a_weight_from_whole_matrices(outputs: int) -> None:
    gradient, x = draw(ROWS, outputs), draw(ROWS, INPUTS)
    close(weight_gradient(gradient, x), gradient.double().t() @ x.double())


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(("rows", "inputs"), [(0, INPUTS), (ROWS, 0)])
def test_products_over_nothing(rows: int, inputs: int) -> None:
    x, weight = torch.empty(rows, inputs), torch.empty(OUTPUTS, inputs)
    assert torch.equal(side_by_side(x, [weight]), torch.zeros(rows, OUTPUTS))
    assert torch.equal(weight_gradient(torch.empty(rows, OUTPUTS), x), torch.zeros(OUTPUTS, inputs))


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    compiler.need(products=True)
    monkeypatch.setattr(products, "_mkl_is_slow", lambda: True)
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def drawn(rows: int, inputs: int, shapes: Shapes) -> tuple[Tensor, list[products.Layer]]:
    generator = torch.Generator().manual_seed(rows + inputs)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def pair(outputs: int, inputs: int) -> tuple[Tensor, Tensor]:
        return numbers(outputs, inputs) / inputs**0.5, numbers(outputs)

    layers = [[pair(*shape) for shape in layer] for layer in shapes]
    return numbers(rows, inputs + 3)[:, 2:-1], layers  # rows that do not lie side by side


def in_doubles(x: Tensor, layers: list[products.Layer]) -> tuple[list[Tensor], list[Tensor]]:
    """What each layer gives, and x and all parameters, which know where they come from."""
    h = x.double().detach().requires_grad_()
    leaves, values = [h], []
    for layer in layers:
        own = [tuple(t.double().detach().requires_grad_() for t in pair) for pair in layer]
        leaves += [tensor for pair in own for tensor in pair]
        whole = all(weight.shape[1] == h.shape[1] for weight, _ in own)
        parts = [h] * len(own) if whole else h.split([weight.shape[1] for weight, _ in own], 1)
        outs = [part @ w.t() + b for part, (w, b) in zip(parts, own, strict=True)]
        h = torch.cat(outs, 1).relu()
        values.append(h)
    return values, leaves


@pytest.mark.parametrize(("rows", "inputs", "shapes"), SHAPES)
def test_a_chain_goes_through_all_layers(
    threads: int, rows: int, inputs: int, shapes: Shapes
) -> None:
    x, layers = drawn(rows, inputs, shapes)
    expected, _ = in_doubles(x, layers)
    for found, value in zip(chain_values(x, layers), expected, strict=True):
        close(found, value.detach())


@pytest.mark.usefixtures("threads")
def test_a_chain_that_ends_has_a_relu_in_all_layers_but_its_last() -> None:
    x, layers = drawn(140, 12, [[(8, 12)], [(67, 8)]])
    (first, _), _ = in_doubles(x, layers)
    ((weight, bias),) = layers[1]
    below, last = chain_values(x, layers, ends=True)
    close(below, first.detach())
    close(last, first.detach() @ weight.double().t() + bias.double())
    assert (last < 0).any()


@pytest.mark.parametrize("of_x", [True, False])
@pytest.mark.parametrize(("rows", "inputs", "shapes"), SHAPES)
def test_the_gradients_of_a_chain(
    threads: int, rows: int, inputs: int, shapes: Shapes, of_x: bool
) -> None:
    x, layers = drawn(rows, inputs, shapes)
    values, leaves = in_doubles(x, layers)
    parts = len(shapes[-1]) if len({outputs for outputs, _ in shapes[-1]}) == 1 else 1
    given = draw(*values[-1].shape) / 8
    expected = torch.autograd.grad((0.5 * values[-1] * given.double()).sum(), leaves)
    weights = [[weight for weight, _ in layer] for layer in layers]
    known = [x, *(value.detach().float() for value in values)]
    of_input, of_weights, of_biases = chain_gradients(
        given.chunk(parts, 1), known, weights, 0.5, of_x, masked=False
    )
    scales = [0.5 ** (len(layers) - 1 - n) for n, layer in enumerate(layers) for _ in layer]
    for found, value, scale in zip(of_weights, expected[1::2], scales, strict=True):
        close(found, value * scale)
    biases = torch.cat([v * scale for v, scale in zip(expected[2::2], scales, strict=True)])
    close(torch.cat(of_biases), biases)
    if of_x:
        assert of_input is not None
        close(of_input, expected[0] * 0.5 ** (len(layers) - 1))
    else:
        assert of_input is None


@pytest.mark.usefixtures("threads")
def test_a_gradient_before_the_last_relu_is_taken_as_it_is() -> None:
    x, layers = drawn(140, 12, [[(8, 12)], [(5, 8)]])
    values = chain_values(x, layers)
    weights = [[weight for weight, _ in layer] for layer in layers]
    gradient = draw(140, 5)
    _, (first, second), (bias,) = chain_gradients(
        [gradient], [x, *values], weights, 1.0, of_x=False, masked=True
    )
    below = (gradient.double() @ layers[1][0][0].double()) * (values[0] > 0)
    close(second, gradient.double().t() @ values[0].double())
    close(first, below.t() @ x.double())
    close(bias, below.sum(0))


@pytest.mark.usefixtures("threads")
def test_nan_stays_nan_in_a_chain() -> None:
    x, layers = drawn(20, 12, [[(8, 12)], [(5, 8)]])
    x[3, 4] = float("nan")
    for value in chain_values(x, layers):
        assert value.isnan().any(1).nonzero().flatten().tolist() == [3]


@pytest.mark.usefixtures("threads")
def test_weights_read_as_many_columns_as_there_are() -> None:
    x, layers = drawn(20, 12, [[(8, 12)], [(5, 7)]])
    with pytest.raises(ValueError, match=r"weights of \[7\] inputs over 8 columns"):
        chain_values(x, layers)
    with pytest.raises(ValueError, match=r"weights of \[12\] inputs over 11 columns"):
        side_by_side(x[:, 1:], [layers[0][0][0]])


@pytest.mark.usefixtures("threads")
def test_a_part_without_gradient_is_passed_over() -> None:
    """What it alone read may be anything, NaN, too."""
    x, layers = drawn(600, 17, [[(9, 17), (9, 17)], [(4, 9), (4, 9)]])
    values = chain_values(x, layers)
    weights = [[weight for weight, _ in layer] for layer in layers]
    gradient = draw(600, 4)
    weights[1][0] = torch.full_like(weights[1][0], float("nan"))
    of_x, found, _ = chain_gradients(
        [None, gradient], [x, *values], weights, 1.0, of_x=True, masked=False
    )
    top = gradient.double() * (values[1][:, 4:] > 0)
    below = (top @ weights[1][1].double()) * (values[0][:, 9:] > 0)
    assert of_x is not None
    close(of_x, below @ weights[0][1].double())
    close(found[1], below.t() @ x.double())
    close(found[3], top.t() @ values[0][:, 9:].double())
