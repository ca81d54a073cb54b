"""Loops between the matrix products of a network: bias with ReLU, its gradient, mixtures by gates."""

from collections.abc import Sequence

import torch
from torch import Tensor

from recmtl.kernels.library import SUFFIX, fits, on_gpu, run
from recmtl.kernels.products import product


def clipped_product(x: Tensor, layer: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """relu(x Wᵀ + b): each pair (W, b) of the layer over its part of the columns, into its part."""
    if not fits(x):
        return _clipped_by_torch(x, layer)
    weights = [weight for weight, _ in layer]
    out = side_by_side(x, weights)
    bias = torch.cat([bias for _, bias in layer]).float()
    run(f"add_and_clip_{SUFFIX[out.dtype]}", out, bias, *out.shape)
    return out


def side_by_side(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """x Wᵀ: each weight (outputs, inputs) over its part of the columns of x (B, …), into its part."""
    if len(weights) == 1:
        return product(x, weights[0])
    out = x.new_empty(len(x), sum(len(weight) for weight in weights))
    for weight, part, into in zip(weights, *_parts(x, weights, out), strict=True):
        product(part, weight, into)
    return out


def masked(
    gradient: Tensor, activation: Tensor, scale: float, spent: bool = False
) -> tuple[Tensor, Tensor]:
    """(B, H) of an activation → (B, H) before its ReLU and dropout, and the sum over rows (H,).

    ReLU and dropout leave 0 where they let nothing through; dropout has multiplied the rest by `scale`.
    Of a gradient that is `spent`, which nobody reads after this, the memory may take the result.
    """
    gradient = gradient.contiguous()
    if on_gpu(gradient, activation):
        from recmtl.kernels import gpu

        return gpu.masked(gradient, activation, scale)
    if fits(gradient, activation):
        out = gradient if spent else torch.empty_like(gradient)
        bias = gradient.new_empty(gradient.shape[1], dtype=torch.float32)
        run(f"mask_{SUFFIX[out.dtype]}", gradient, activation, out, bias, scale, *out.shape)
        return out, bias
    out = torch.ops.aten.threshold_backward(gradient, activation, 0)
    if scale != 1.0:
        out.mul_(scale)
    return out, out.sum(0)


def _clipped_by_torch(x: Tensor, layer: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    out = x.new_empty(len(x), sum(len(weight) for weight, _ in layer))
    parts = _parts(x, [weight for weight, _ in layer], out)
    for (weight, bias), part, into in zip(layer, *parts, strict=True):
        torch.addmm(bias, part, weight.t(), out=into)
    return out.relu_()


def _parts(
    x: Tensor, weights: Sequence[Tensor], out: Tensor
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The columns that each weight (outputs, inputs) reads, and those that it writes."""
    return (torch.split(x, [weight.shape[1] for weight in weights], 1),
            torch.split(out, [len(weight) for weight in weights], 1))


def mix(gates: Tensor, experts: Tensor) -> tuple[Tensor, ...]:
    """Σ_k gates[:, t, k] · experts[:, k] for each task t: (B, T, K), (B, K · H) → T times (B, H)."""
    rows, tasks, count = gates.shape
    width = experts.shape[1] // count
    if on_gpu(gates, experts):
        from recmtl.kernels import gpu

        return gpu.mix(gates, experts)
    if fits(gates, experts):
        out = [experts.new_empty(rows, width) for _ in range(tasks)]
        run(f"mix_{SUFFIX[experts.dtype]}", gates, experts, out, rows, tasks, count, width)
        return tuple(out)
    return torch.bmm(gates.to(experts.dtype), experts.view(rows, count, width)).unbind(1)


def unmix(
    gradients: Sequence[Tensor], gates: Tensor, experts: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """From the gradient of each mixture: that of the gates, and `masked` of that of the experts."""
    rows, tasks, count = gates.shape
    width = experts.shape[1] // count
    given = [gradient.contiguous() for gradient in gradients]
    if on_gpu(gates, experts, *given):
        from recmtl.kernels import gpu

        return gpu.unmix(given, gates, experts, scale)
    if fits(gates, experts, *given):
        out, of_gates = torch.empty_like(experts), torch.empty_like(gates)
        bias = experts.new_empty(experts.shape[1], dtype=torch.float32)
        run(f"unmix_{SUFFIX[out.dtype]}", given, gates, experts, out, of_gates, bias, scale,
            rows, tasks, count, width)
        return of_gates, out, bias
    stacked = torch.stack(given, dim=1)  # (B, T, H)
    of_gates = torch.bmm(stacked, experts.view(rows, count, width).transpose(1, 2))
    of_experts = torch.bmm(gates.to(stacked.dtype).transpose(1, 2), stacked)
    return of_gates.to(gates.dtype), *masked(of_experts.view_as(experts), experts, scale)
