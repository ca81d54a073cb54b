"""Linear layers with ReLU, one chain or several side by side, as one step of autograd.

Autograd's own way would fill a gradient per slice and add the slices up, keep two copies of every
activation's gradient and stack what lies beside each other already: a third of the time of a step.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

Layer = Sequence[tuple[Tensor, Tensor]]  # weight (out, in) and bias (out,): of all chains, or of each


def chains(x: Tensor, layers: Sequence[Layer], count: int = 1, dropout: float = 0.0) -> Tensor:
    """(B, inputs) → (B, count · outputs): h ← dropout(relu(h Wᵀ + b)) for each layer of each chain.

    All chains read the whole of `x`: the first layer is one weight (count · H, inputs), whose wide
    product runs nearer the processor's rate than narrow ones. Layers above have one weight a chain.
    `dropout` is the share of activations to drop now: 0 outside training.
    """
    flat = [tensor for layer in layers for pair in layer for tensor in pair]
    out: Tensor = _Chains.apply(x, count, dropout, *flat)  # type: ignore[no-untyped-call]
    return out


class _Chains(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, count: int, dropout: float, *flat: Tensor) -> Tensor:
        dtype = _dtype(x)
        with torch.autocast(x.device.type, enabled=False):
            parameters = [tensor.to(dtype) for tensor in flat]
            layers = _layers(parameters, count)
            values = [x.to(dtype)]
            for layer in layers:
                above = _activated(values[-1], layer)
                values.append(F.dropout(above, dropout, inplace=True) if dropout else above)
        weights = [weight for layer in layers for weight, _ in layer]
        ctx.count, ctx.scale = count, 1.0 / (1.0 - dropout)
        ctx.types = x.dtype, flat[0].dtype
        ctx.save_for_backward(*values, *weights)
        return values[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        saved, count = ctx.saved_tensors, ctx.count
        depth = 1 + (len(saved) - 2) // (count + 1)  # 1 + depth values, 1 + (depth − 1) · count weights
        values, weights = saved[: depth + 1], list(saved[depth + 1 :])
        of_x, of_parameter = ctx.types
        into = gradient.new_empty(gradient.shape)
        found: list[Tensor] = []
        for above, below in zip(reversed(values[1:]), reversed(values[:-1]), strict=True):
            _mask(gradient, above, into, ctx.scale)
            own = [weights.pop() for _ in range(1 if below is values[0] else count)][::-1]
            last = below is values[0] and not ctx.needs_input_grad[0]
            gradient, found[:0] = _through(into, below, own, last)
            into = gradient
        return (
            gradient.to(of_x) if ctx.needs_input_grad[0] else None, None, None,
            *(tensor.to(of_parameter) for tensor in found),
        )


def _dtype(x: Tensor) -> torch.dtype:
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def _layers(flat: Sequence[Tensor], count: int) -> list[list[tuple[Tensor, Tensor]]]:
    pairs = list(zip(flat[::2], flat[1::2], strict=True))
    return [pairs[:1], *(pairs[i : i + count] for i in range(1, len(pairs), count))]


def _activated(x: Tensor, layer: Layer) -> Tensor:
    """relu(x Wᵀ + b): each pair of the layer over its part of the columns, into its part."""
    if len(layer) == 1:
        ((weight, bias),) = layer
        return torch.addmm(bias, x, weight.t()).relu_()
    out = x.new_empty(len(x), sum(len(weight) for weight, _ in layer))
    parts = zip(layer, x.chunk(len(layer), 1), out.chunk(len(layer), 1), strict=True)
    for (weight, bias), part, into in parts:
        torch.addmm(bias, part, weight.t(), out=into)
    return out.relu_()


def _mask(gradient: Tensor, activation: Tensor, into: Tensor, scale: float) -> None:
    """The gradient before ReLU and dropout: both leave 0 where they let nothing through."""
    torch.ops.aten.threshold_backward.grad_input(gradient, activation, 0, grad_input=into)
    if scale != 1.0:
        into.mul_(scale)


def _through(
    gradient: Tensor, x: Tensor, weights: Sequence[Tensor], last: bool
) -> tuple[Tensor, list[Tensor]]:
    """The gradient of a layer's input, unless it is the last one needed, and of its parameters."""
    count = len(weights)
    below = gradient if last else torch.empty_like(x)
    found = []
    biases = gradient.sum(0).chunk(count)
    parts = zip(weights, gradient.chunk(count, 1), x.chunk(count, 1), below.chunk(count, 1), strict=True)
    for (weight, part, inputs, into), bias in zip(parts, biases, strict=True):
        found += [part.t() @ inputs, bias]
        if not last:
            torch.mm(part, weight, out=into)
    return below, found
