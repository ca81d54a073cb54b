"""Products of two matrices, and networks of them, in fp32 on CPU by whatever uses all of the processor.

torch gives them to MKL, which stays with AVX2 on a processor that is not Intel's; `products.cpp` takes
all of AVX-512 wherever it is: twice the rate on an AMD EPYC (Zen 5).
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from recmtl.kernels.library import multiplies, run

Layer = Sequence[tuple[Tensor, Tensor]]  # weight (out, in) and bias (out,): of all chains, or of each


def product(x: Tensor, weight: Tensor, out: Tensor | None = None) -> Tensor:
    """x Wᵀ of (B, inputs) and (outputs, inputs), into `out` (B, outputs) where it is given."""
    if not ours(x):
        return torch.mm(x, weight.t(), out=out)
    _reads(x.shape[1], [weight])
    out = x.new_empty(len(x), len(weight)) if out is None else out
    run("product_f32", *_lines(x), *_turned(weight), *_lines(out), *x.shape, len(weight))
    return out


def chain_values(x: Tensor, layers: Sequence[Layer], ends: bool = False) -> list[Tensor]:
    """h ← relu(h Wᵀ + b) of each layer in turn, from x (B, inputs); where `ours` says so.

    Each pair (W, b) of a layer goes over its part of the columns, into its part; or each of the first
    over the whole of x. A chain that `ends` has no ReLU in its last layer.
    """
    flat = [pair for layer in layers for pair in layer]
    widths = [sum(len(weight) for weight, _ in layer) for layer in layers]
    out = [x.new_empty(len(x), width) for width in widths]
    run("chain_f32", *_lines(x), [w.contiguous() for w, _ in flat], [b.contiguous() for _, b in flat],
        _pieces(x, [[weight for weight, _ in layer] for layer in layers]), len(flat), out, widths,
        len(layers) - ends, len(x))
    return out


def chain_gradients(
    gradients: Sequence[Tensor | None], values: Sequence[Tensor], layers: Sequence[Sequence[Tensor]],
    scale: float, of_x: bool, masked: bool,
) -> tuple[Tensor | None, list[Tensor], list[Tensor]]:
    """The gradient of x, where it is wanted, those of all weights and of each layer's biases.

    `values` are x and what each layer gave, whose dropout multiplied by `scale`. `gradients` are those of
    parts of the last one's columns; where one is None, what is told of its weights and biases means
    nothing. One that is `masked` is of what the last layer was before its ReLU, if it had one, and that
    layer's biases are left out.
    """
    flat = [weight.contiguous() for layer in layers for weight in layer]
    x, *inner, top = values
    widths = [value.shape[1] for value in (*inner, top)]
    of_input = x.new_empty(x.shape) if of_x else None
    of_weights = [torch.empty_like(weight) for weight in flat]
    of_biases = [x.new_empty(width) for width in (widths[:-1] if masked else widths)]
    parts = 0 if masked else len(gradients)
    given = [None if gradient is None else gradient.contiguous() for gradient in gradients]
    run("chain_backward_f32", given, parts, top, *_lines(x),
        flat, _pieces(x, layers), len(flat), inner, widths, len(layers), scale, of_input, x.shape[1],
        of_weights, of_biases, len(x))
    return of_input, of_weights, of_biases


def _pieces(x: Tensor, layers: Sequence[Sequence[Tensor]]) -> list[int]:
    """`Piece` in products.cpp of each weight, one after the other."""
    found: list[int] = []
    below = x.shape[1]
    for number, layer in enumerate(layers):
        whole = not number and all(weight.shape[1] == below for weight in layer)
        _reads(below, layer[:1] if whole else layer)
        below = sum(len(weight) for weight in layer)
        reads = writes = 0
        for weight in layer:
            outputs, inputs = weight.shape
            found += (number, inputs, outputs, reads, writes)
            reads, writes = reads + (0 if whole else inputs), writes + outputs
    return found


def _reads(columns: int, weights: Sequence[Tensor]) -> None:
    """Raises ValueError where weights do not read all of them: the loops would read what lies beside."""
    inputs = [weight.shape[1] for weight in weights]
    if sum(inputs) != columns:
        raise ValueError(f"weights of {inputs} inputs over {columns} columns")


def ours(x: Tensor) -> bool:
    """Whether `products.cpp` multiplies it: in fp32, on a CPU that MKL would leave half unused."""
    return x.dtype == torch.float32 and x.device.type == "cpu" and _mkl_is_slow() and multiplies()


def _lines(matrix: Tensor) -> tuple[Tensor, int]:
    """A matrix whose rows lie whole, and from one row to the next."""
    whole = matrix if matrix.stride(1) == 1 or matrix.shape[1] < 2 else matrix.contiguous()
    return whole, whole.stride(0)


def _turned(weight: Tensor) -> tuple[Tensor, int, int]:
    """A weight, and its strides as (inputs, outputs)."""
    return weight, weight.stride(1), weight.stride(0)


@cache
def _mkl_is_slow() -> bool:
    info = Path("/proc/cpuinfo")
    words = set(info.read_text().split()) if info.exists() else set()
    mkl = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    return bool(mkl and "avx512f" in words and "GenuineIntel" not in words)
