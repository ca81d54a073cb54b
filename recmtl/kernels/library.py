"""Which loops run where; those of `loops.cpp` and `products.cpp`, called.

A call of a C++ loop gives it tensors and sizes.
"""

import ctypes
import logging
import os
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from recmtl.compiled import SWITCH, load

SUFFIX = {torch.float32: "f32", torch.bfloat16: "b16", torch.int32: "i32", torch.int64: "i64"}
_log = logging.getLogger("recmtl")
Argument = Tensor | Sequence[Tensor | None] | Sequence[int] | int | float | None


def engine(device: str = "cpu") -> str:
    """What runs the loops: "native" on CPU, "triton" on a GPU, else "torch", whose operators do it too.

    "torch" where no compiler made them, there is no Triton, SWITCH says so, or sums on a GPU have to come
    out the same in every run (torch.use_deterministic_algorithms).
    """
    if device.startswith("cuda"):
        return "triton" if _may_use_triton() else "torch"
    return "native" if _library() else "torch"


def fits(*tensors: Tensor) -> bool:
    """Whether the C++ loops take these: on CPU, fp32 or bf16, in C order."""
    return all(
        t.device.type == "cpu" and t.dtype in (torch.float32, torch.bfloat16) and t.is_contiguous()
        for t in tensors
    ) and _library() is not None


def on_gpu(*tensors: Tensor) -> bool:
    """Whether the Triton loops take these: on a GPU, fp32 or bf16, in C order."""
    return all(
        t.is_cuda and t.dtype in (torch.float32, torch.bfloat16) and t.is_contiguous() for t in tensors
    ) and _may_use_triton()


def run(name: str, *arguments: Argument) -> int:
    """Call a loop. A list goes as an array, of pointers or of i64; the number of threads goes last."""
    library = _library()
    assert library is not None
    given = [_given(argument) for argument in arguments]
    function = getattr(library, name)
    function.restype = ctypes.c_int64
    return int(function(*given, ctypes.c_int(torch.get_num_threads())))


def _given(argument: Argument) -> object:
    if argument is None:
        return ctypes.c_void_p()
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    if isinstance(argument, Sequence):
        numbers = [a for a in argument if isinstance(a, int)]
        if numbers:
            return (ctypes.c_int64 * len(numbers))(*numbers)
        pointers = (a.data_ptr() if isinstance(a, Tensor) else None for a in argument)
        return (ctypes.c_void_p * len(argument))(*pointers)
    return ctypes.c_float(argument) if isinstance(argument, float) else ctypes.c_int64(argument)


def _may_use_triton() -> bool:
    return _has_triton() and not torch.are_deterministic_algorithms_enabled()


@cache
def _has_triton() -> bool:
    if os.environ.get(SWITCH) == "torch" or find_spec("triton") is None or not torch.cuda.is_available():
        return False
    try:
        from recmtl.kernels import gpu

        gpu.try_out()
    except Exception as error:  # whatever it lacks: a compiler, Python's headers, a card that it knows
        _log.warning("Triton does not run here, torch's operators do instead, slower: %s", error)
        return False
    return True


def _library() -> ctypes.CDLL | None:
    return load("recmtl.kernels", "loops", "products") or load("recmtl.kernels", "loops")


def multiplies() -> bool:
    """Whether `products.cpp` is there, too: it asks more of a compiler."""
    return hasattr(_library(), "chain_f32")
