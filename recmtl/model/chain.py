"""Linear layers with ReLU, one chain or several side by side, as one step of autograd.

Autograd's own way would fill a gradient per slice and add the slices up, keep two copies of every
activation's gradient and stack what lies beside each other already: a third of the time of a step.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from recmtl.kernels import clipped_product, masked, mix, side_by_side, unmix, weight_gradient

Layer = Sequence[tuple[Tensor, Tensor]]  # weight (out, in) and bias (out,): of all chains, or of each


def chains(x: Tensor, layers: Sequence[Layer], dropout: float = 0.0) -> Tensor:
    """(B, inputs) → (B, K · outputs): h ← dropout(relu(h Wᵀ + b)) for each layer of each of K chains.

    Where all chains read the whole of `x`, the first layer is one weight (K · H, inputs), whose wide
    product runs nearer the processor's rate than narrow ones; where groups of chains read parts of `x`,
    which lie side by side, it is one weight a group. Layers above have one weight a chain.
    `dropout` is the share of activations to drop now: 0 outside training.
    """
    (out,) = _Chains.apply(x, None, None, dropout, *_flat(layers))  # type: ignore[no-untyped-call]
    return out  # type: ignore[no-any-return]


def mixtures(
    x: Tensor, gates: Tensor, layers: Sequence[Layer], dropout: float = 0.0,
    teaches: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Σ_k gates[:, t, k] · chain_k(x) for each task t: (B, inputs), (B, T, K) → T times (B, outputs).

    `chains` and the sum in one, so that the gradient of the chains' outputs is written once. `teaches`
    (T, K) is 0 where a task reads a chain without a gradient to it, 1 elsewhere.
    """
    mixed: tuple[Tensor, ...] = _Chains.apply(  # type: ignore[no-untyped-call]
        x, gates, teaches, dropout, *_flat(layers)
    )
    return mixed


def joined(views: Sequence[Tensor], layer: Layer) -> tuple[Tensor, Layer]:
    """An input and a first layer for chains that read a view each, which may be one and the same."""
    if any(view is not views[0] for view in views):
        return torch.cat(list(views), dim=1), layer
    return views[0], [(torch.cat([w for w, _ in layer]), torch.cat([b for _, b in layer]))]


class _Chains(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gates: Tensor | None, teaches: Tensor | None, dropout: float,
        sizes: Sequence[int], *flat: Tensor,
    ) -> tuple[Tensor, ...]:
        dtype = _dtype(x)
        with torch.autocast(x.device.type, enabled=False):
            layers = _layers([tensor.to(dtype) for tensor in flat], sizes)
            values = [x.to(dtype)]
            for layer in layers:
                above = clipped_product(values[-1], layer)
                values.append(F.dropout(above, dropout, inplace=True) if dropout else above)
            out = (values[-1],) if gates is None else mix(gates, values[-1])
        weights = [weight for layer in layers for weight, _ in layer]
        ctx.sizes, ctx.scale = sizes, 1.0 / (1.0 - dropout)
        ctx.types = x.dtype, flat[0].dtype
        ctx.set_materialize_grads(True)
        ctx.save_for_backward(gates, teaches, *values, *weights)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gates, teaches, *saved = ctx.saved_tensors
        depths = len(ctx.sizes)
        values, weights = saved[: depths + 1], saved[depths + 1 :]
        of_x, of_parameter = ctx.types
        found: list[Tensor] = []
        of_gates = None
        if gates is None:
            gradient, bias = masked(gradients[0], values[-1], ctx.scale)
        else:
            # The gates' own gradient, Σ_j gradient · expert, does not read them.
            heard = gates if teaches is None else gates * teaches
            of_gates, gradient, bias = unmix(gradients, heard, values[-1], ctx.scale)
        for depth in range(depths - 1, -1, -1):
            below, own = values[depth], weights[-ctx.sizes[depth] :]
            del weights[-len(own) :]
            last = depth == 0 and not ctx.needs_input_grad[0]
            gradient, of_weights = _through(gradient, below, own, last)
            pairs = zip(of_weights, torch.split(bias, [len(w) for w in own]), strict=True)
            found[:0] = [tensor.to(of_parameter) for pair in pairs for tensor in pair]
            if depth:
                gradient, bias = masked(gradient, below, ctx.scale, spent=True)
        of_input = gradient.to(of_x) if ctx.needs_input_grad[0] else None
        return of_input, of_gates, None, None, None, *found


def _dtype(x: Tensor) -> torch.dtype:
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def _flat(layers: Sequence[Layer]) -> list[list[int] | Tensor]:
    """The number of weights in each layer, then all tensors: autograd looks at arguments alone."""
    return [[len(layer) for layer in layers],
            *(tensor for layer in layers for pair in layer for tensor in pair)]


def _layers(flat: Sequence[Tensor], sizes: Sequence[int]) -> list[list[tuple[Tensor, Tensor]]]:
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return [list(islice(pairs, size)) for size in sizes]


def _through(
    gradient: Tensor, x: Tensor, weights: Sequence[Tensor], last: bool
) -> tuple[Tensor, list[Tensor]]:
    """The gradient of a layer's input, unless it is the last one needed, and of its weights."""
    parts = zip(torch.split(gradient, [len(weight) for weight in weights], 1),
                torch.split(x, [weight.shape[1] for weight in weights], 1), strict=True)
    found = [weight_gradient(part, inputs) for part, inputs in parts]
    return gradient if last else side_by_side(gradient, [w.t() for w in weights]), found
