"""Products of two matrices, on CPU by whichever of torch's two libraries uses all of the processor.

torch gives fp32 products to MKL, which stays with AVX2 on a processor that is not Intel's; oneDNN, which
torch holds too, takes AVX-512 wherever it is: twice the rate on an AMD EPYC (Zen 5).
"""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from recmtl.kernels.library import fits, run


def product(x: Tensor, weight: Tensor, out: Tensor | None = None) -> Tensor:
    """x Wᵀ of (B, inputs) and (outputs, inputs), into `out` (B, outputs) where it is given."""
    if not _by_onednn(x):
        return torch.mm(x, weight.t(), out=out)
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return found if out is None else out.copy_(found)


def weight_gradient(gradient: Tensor, x: Tensor) -> Tensor:
    """gᵀ x of (B, outputs) and (B, inputs)."""
    if not _by_onednn(x):
        return torch.mm(gradient.t(), x)
    # It takes its second operand as it lies, where that is whole, and is slow where its first one lies by
    # columns: the narrower of the two is turned, and the result back.
    if gradient.shape[1] <= x.shape[1]:
        return product(_transposed(gradient), x.contiguous().t())
    return _transposed(product(_transposed(x), gradient.contiguous().t()))


def _transposed(matrix: Tensor) -> Tensor:
    out = matrix.new_empty(matrix.shape[1], matrix.shape[0])
    if not fits(out) or matrix.stride(1) != 1:
        return out.copy_(matrix.t())
    run("transpose_f32", matrix, matrix.stride(0), out, *matrix.shape)
    return out


def _by_onednn(x: Tensor) -> bool:
    """oneDNN knows no product over nothing."""
    return x.dtype == torch.float32 and x.device.type == "cpu" and x.numel() > 0 and _mkl_is_slow()


@cache
def _mkl_is_slow() -> bool:
    """Whether MKL would leave half of this processor unused."""
    info = Path("/proc/cpuinfo")
    words = set(info.read_text().split()) if info.exists() else set()
    mkl = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    onednn = torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return bool(mkl and onednn and "avx512f" in words and "GenuineIntel" not in words)
