"""C++ files of ours, compiled once for this processor and loaded; they take plain pointers and sizes."""

import ctypes
import hashlib
import os
import platform
import subprocess
import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path

SWITCH = "RECMTL_KERNELS"  # "torch" leaves all C++ out
FLAGS = (
    "-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-fPIC",
    "-shared",
)


@cache
def load(package: str, *names: str) -> ctypes.CDLL | None:
    """The functions of some .cpp files in `package`, compiled as one, in this order.

    None without a compiler, and where SWITCH says so.
    """
    if os.environ.get(SWITCH) == "torch":
        return None
    source = "\n".join((files(package) / f"{name}.cpp").read_text() for name in names)
    try:
        return ctypes.CDLL(str(_built(names[-1], source)))
    except (OSError, subprocess.CalledProcessError):
        return None  # no compiler, no OpenMP, nowhere to write: the plain way does the same


def _built(name: str, source: str) -> Path:
    """The shared library for this source, compiler and processor, made where it is missing."""
    compiler = os.environ.get("CXX", "c++")
    version = _output([compiler, "--version"])
    key = hashlib.sha256("\n".join([source, version, *FLAGS, _processor()]).encode()).hexdigest()[:16]
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = home / "recmtl"
    library = folder / f"{name}-{key}.so"
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
