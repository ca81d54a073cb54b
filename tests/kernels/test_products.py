"""Products of matrices by oneDNN against the same in fp64."""

import pytest
import torch

from recmtl.kernels import products, side_by_side, weight_gradient

ROWS, INPUTS, OUTPUTS = 150, 37, 21


@pytest.fixture(params=[True, False], ids=["onednn", "mkl"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param and not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("needs a torch with oneDNN")
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
