"""The expert block and the mixture against the same thing written plainly."""

import pytest
import torch

from recmtl.batch import Columns, Embedded
from recmtl.model.sharing import MMoE
from recmtl.model.sharing.experts import Experts


def each(block: Experts, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Every expert's own output: a mixture whose gate is 1 for it alone."""
    count = len(block.above)
    return block([x], torch.eye(count).expand(len(x), count, count).contiguous())


@pytest.mark.parametrize("hidden", [[7], [7, 5], [7, 5, 3]])
def test_experts_equal_networks_of_their_own(hidden: list[int]) -> None:
    block, x = Experts(6, hidden, [4]).double(), torch.randn(9, 6, dtype=torch.float64)
    torch.nn.init.normal_(block.bias)
    for k, found in enumerate(each(block, x)):
        rows = slice(k * hidden[0], (k + 1) * hidden[0])
        plain = (x @ block.weight[rows].t() + block.bias[rows]).relu()
        for layer in block.above[k]:
            plain = (plain @ layer.weight.t() + layer.bias).relu() if hasattr(layer, "weight") else plain
        torch.testing.assert_close(found, plain)


def test_experts_do_not_start_alike() -> None:
    first, *others = each(Experts(6, [8, 4], [3]), torch.randn(20, 6))
    assert all((first - other).abs().max() > 0.01 for other in others)


def test_under_autocast_gradients_are_those_of_fp32_to_bf16_s_precision() -> None:
    torch.manual_seed(0)
    block, x = Experts(16, [32, 16], [4]), torch.randn(256, 16)
    weight = torch.randn(256, 4, 16)
    gradients = []
    for enabled in (False, True):
        block.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = torch.stack(each(block, x), dim=1)
        (out.float() * weight).sum().backward()
        gradients.append([p.grad.clone() for p in block.parameters()])
    for exact, half in zip(*gradients, strict=True):
        assert half.dtype == torch.float32
        # random targets: most of the distance is units near zero that bf16 switches on or off
        assert (half - exact).norm() / exact.norm() < 0.1


def test_mmoe_with_a_view_per_task_runs_each_task_s_own_view() -> None:
    torch.manual_seed(1)
    sharing = MMoE(hidden=(8, 4), experts=3).build(Columns({"x": slice(0, 6)}), ["a", "b"])
    one, two = torch.randn(5, 6), torch.randn(5, 6)
    apart = sharing(Embedded({"a": one, "b": two}))
    for task, view in (("a", one), ("b", two)):
        alone = sharing(Embedded({"a": view, "b": view}))
        torch.testing.assert_close(apart.views[task], alone.views[task])
        torch.testing.assert_close(apart.gates[task].weights, alone.gates[task].weights)
