"""Which loops run where; `loops.cpp`, compiled once for this processor and loaded.

A call of a C++ loop gives it tensors and sizes.
"""

import ctypes
import hashlib
import logging
import os
import platform
import subprocess
import tempfile
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

SWITCH = "RECMTL_KERNELS"  # "torch" leaves the C++ loops out
FLAGS = (
    "-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-fPIC",
    "-shared",
)
SUFFIX = {torch.float32: "f32", torch.bfloat16: "b16", torch.int32: "i32", torch.int64: "i64"}
_log = logging.getLogger("recmtl")
Argument = Tensor | list[Tensor] | int | float


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


def run(name: str, *arguments: Argument, threads: bool = True) -> int:
    """Call a loop. A list of tensors goes as an array of pointers; the number of threads goes last."""
    library = _library()
    assert library is not None
    given = [_given(argument) for argument in arguments]
    if threads:
        given.append(ctypes.c_int(torch.get_num_threads()))
    function = getattr(library, name)
    function.restype = ctypes.c_int64
    return int(function(*given))


def _given(argument: Argument) -> object:
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    if isinstance(argument, list):
        return (ctypes.c_void_p * len(argument))(*(tensor.data_ptr() for tensor in argument))
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


@cache
def _library() -> ctypes.CDLL | None:
    if os.environ.get(SWITCH) == "torch":
        return None
    source = (files("recmtl.kernels") / "loops.cpp").read_text()
    try:
        return ctypes.CDLL(str(_built(source)))
    except (OSError, subprocess.CalledProcessError):
        return None  # no compiler, no OpenMP, nowhere to write: torch's operators do the same


def _built(source: str) -> Path:
    """The shared library for this source, compiler and processor, made where it is missing."""
    compiler = os.environ.get("CXX", "c++")
    version = _output([compiler, "--version"])
    key = hashlib.sha256("\n".join([source, version, *FLAGS, _processor()]).encode()).hexdigest()[:16]
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = home / "recmtl"
    library = folder / f"loops-{key}.so"
    if not library.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / library.name
            _output([compiler, *FLAGS, "-x", "c++", "-", "-o", str(made)], source)
            made.replace(library)
    return library


def _output(command: list[str], given: str | None = None) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
    return done.stdout


def _processor() -> str:
    """What `-march=native` depends on: two machines may share a home."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    told = sorted({line for line in lines if line.startswith(("flags", "model name", "Features"))})
    return "\n".join([platform.machine(), platform.processor(), *told])
