"""Linear layers with ReLU, one chain or several side by side, as one step of autograd.

Autograd's own way would fill a gradient per slice and add the slices up, keep two copies of every
activation's gradient and stack what lies beside each other already: a third of the time of a step.
"""

from collections.abc import Sequence
from itertools import chain, cycle, islice
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from recmtl.kernels import (
    Layer,
    chain_gradients,
    chain_values,
    clipped_product,
    masked,
    mix,
    ours,
    side_by_side,
    unmix,
)

T = TypeVar("T")


def chains(x: Tensor, layers: Sequence[Layer], dropout: float = 0.0) -> Tensor:
    """(B, inputs) → (B, K · outputs): h ← dropout(relu(h Wᵀ + b)) for each layer of each of K chains.

    Where all chains read the whole of `x`, the first layer is one weight (K · H, inputs), whose wide
    product runs nearer the processor's rate than narrow ones; where groups of chains read parts of `x`,
    which lie side by side, it is one weight a group. Layers above have one weight a chain.
    `dropout` is the share of activations to drop now: 0 outside training. Without layers it is `x`.
    """
    return _applied(x, layers, dropout)[0] if layers else x


def ended(x: Tensor, layers: Sequence[Layer], end: tuple[Tensor, Tensor], dropout: float = 0.0) -> Tensor:
    """(B, inputs) → (B, outputs): `chains`, and a last layer without ReLU.

    The last is in the precision of its weight, whatever the autocast.
    """
    # By itself a layer of one output leaves most of a register empty, and torch is the quicker.
    if layers and _dtype(x) == x.dtype == end[0].dtype and ours(x) and not dropout:
        return _applied(x, [*layers, [end]], dropout, ends=True)[0]
    hidden = chains(x, layers, dropout)
    with torch.autocast(x.device.type, enabled=False):
        return F.linear(hidden.to(end[0].dtype), *end)


def networks(
    views: Sequence[Tensor], layers: Sequence[Layer], dropout: float = 0.0
) -> tuple[Tensor, ...]:
    """(B, inputs) of each view → (B, outputs): a network of its own over each, all of one shape.

    `layers` have a network's weight and bias each. Where all read one view, they are one step of
    autograd, in which the view's gradient is written once.
    """
    x = views[0]
    alike = all(view is x for view in views) and _dtype(x) == x.dtype
    if len(views) == 1 or not alike or not ours(x) or dropout:
        return tuple(
            chains(view, [[pair] for pair in own], dropout)
            for view, own in zip(views, zip(*layers, strict=True), strict=True)
        )
    return _applied(x, layers, dropout, parts=len(views))


def mixtures(
    x: Tensor, gates: Tensor, layers: Sequence[Layer], dropout: float = 0.0,
    teaches: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Σ_k gates[:, t, k] · chain_k(x) for each task t: (B, inputs), (B, T, K) → T times (B, outputs).

    `chains` and the sum in one, so that the gradient of the chains' outputs is written once. `teaches`
    (T, K) is 0 where a task reads a chain without a gradient to it, 1 elsewhere.
    """
    return _applied(x, layers, dropout, gates, teaches)


def joined(views: Sequence[Tensor], layer: Layer) -> tuple[Tensor, Layer]:
    """An input and a first layer for chains that read a view each, which may be one and the same."""
    if any(view is not views[0] for view in views):
        return torch.cat(list(views), dim=1), layer
    return views[0], [(torch.cat([w for w, _ in layer]), torch.cat([b for _, b in layer]))]


def _applied(
    x: Tensor, layers: Sequence[Layer], dropout: float, gates: Tensor | None = None,
    teaches: Tensor | None = None, *, parts: int = 1, ends: bool = False,
) -> tuple[Tensor, ...]:
    """`_Chains` of tensors one by one, and how many weights a layer has: autograd looks no deeper."""
    flat = [tensor for layer in layers for pair in layer for tensor in pair]
    found: tuple[Tensor, ...] = _Chains.apply(  # type: ignore[no-untyped-call]
        x, gates, teaches, parts, dropout, ends, [len(layer) for layer in layers], *flat
    )
    return found


class _Chains(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gates: Tensor | None, teaches: Tensor | None, parts: int, dropout: float,
        ends: bool, sizes: Sequence[int], *flat: Tensor,
    ) -> tuple[Tensor, ...]:
        dtype = _dtype(x)
        with torch.autocast(x.device.type, enabled=False):
            own = [tensor.to(dtype) for tensor in flat]
            layers = _split([*zip(own[::2], own[1::2], strict=True)], sizes)
            values = _values(x.to(dtype), layers, dropout, ends)
            out = values[-1].chunk(parts, 1) if gates is None else mix(gates, values[-1])
        weights = [weight for layer in layers for weight, _ in layer]
        ctx.sizes, ctx.scale, ctx.ends = sizes, 1.0 / (1.0 - dropout), ends
        ctx.types = x.dtype, flat[0].dtype
        ctx.set_materialize_grads(parts == 1)
        ctx.save_for_backward(gates, teaches, *values, *weights)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gates, teaches, *saved = ctx.saved_tensors
        depth = len(ctx.sizes)
        values, layers = saved[: depth + 1], _split(saved[depth + 1 :], ctx.sizes)
        of_x, of_parameter = ctx.types
        of_gates = bias = None
        if gates is not None:
            # The gates' own gradient, Σ_j gradient · expert, does not read them.
            heard = gates if teaches is None else gates * teaches
            of_gates, gradient, bias = unmix(gradients, heard, values[-1], ctx.scale)
            gradients = (gradient,)
        elif ctx.ends:
            bias = gradients[0].sum(0)
        of_input, of_weights, biases = _gradients(
            gradients, bias, values, layers, ctx.scale, ctx.needs_input_grad[0]
        )
        of_biases = chain(*(
            torch.split(whole, [len(weight) for weight in layer])
            for whole, layer in zip(biases, layers, strict=True)
        ))
        # A network that nothing was asked of is passed over by optimizers, as one by itself would be.
        asked = [gradient is not None for gradient in gradients]
        found = [
            tensor.to(of_parameter) if there else None
            for pair, there in zip(zip(of_weights, of_biases, strict=True), cycle(asked))
            for tensor in pair
        ]
        of_input = None if of_input is None else of_input.to(of_x)
        return of_input, of_gates, None, None, None, None, None, *found


def _dtype(x: Tensor) -> torch.dtype:
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def _split(flat: Sequence[T], sizes: Sequence[int]) -> list[list[T]]:
    """As many for each layer as it has weights."""
    left = iter(flat)
    return [list(islice(left, size)) for size in sizes]


def _values(x: Tensor, layers: Sequence[Layer], dropout: float, ends: bool) -> list[Tensor]:
    """`x` and what each layer gives; only ours have a last one without ReLU."""
    if ours(x) and not dropout:
        return [x, *chain_values(x, layers, ends)]
    assert not ends
    values = [x.contiguous()]
    for layer in layers:
        above = clipped_product(values[-1], layer)
        values.append(F.dropout(above, dropout, inplace=True) if dropout else above)
    return values


def _gradients(
    gradients: Sequence[Tensor], bias: Tensor | None, values: Sequence[Tensor],
    layers: Sequence[Sequence[Tensor]], scale: float, of_x: bool,
) -> tuple[Tensor | None, list[Tensor], list[Tensor]]:
    """That of the input, where it is wanted, those of weights, and of biases layer by layer.

    `values` are the input and what each layer gave, `gradients` those of parts of the last one; or one,
    before its ReLU or where it has none, where `bias` is its sum over rows.
    """
    if ours(values[0]):
        masks = bias is not None
        of_input, of_weights, biases = chain_gradients(gradients, values, layers, scale, of_x, masks)
        return of_input, of_weights, biases if bias is None else [*biases, bias]
    (gradient,) = gradients
    if bias is None:
        gradient, bias = masked(gradient, values[-1], scale)
    of_weights, biases = [], [bias]
    for depth, (below, own) in reversed([*enumerate(zip(values, layers, strict=False))]):
        pairs = zip(torch.split(gradient, [len(weight) for weight in own], 1),
                    torch.split(below, [weight.shape[1] for weight in own], 1), strict=True)
        of_weights[:0] = [torch.mm(part.t(), inputs) for part, inputs in pairs]
        if not depth and not of_x:
            return None, of_weights, biases
        gradient = side_by_side(gradient, [w.t() for w in own])
        if depth:
            gradient, bias = masked(gradient, below, scale, spent=True)
            biases[:0] = [bias]
    return gradient, of_weights, biases
