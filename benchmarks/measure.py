"""What the benchmarks share: W1 and what is made of it, processes that are watched, results on disk."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PEERS = HERE / ".peers"  # logs, environments and runs; git passes them over
RUNS = PEERS / "runs"
RESULTS = RUNS / "results"
LIBRARIES = ("torch", "duckdb", "pyarrow", "numpy", "pandas")
OFTEN = 0.02  # seconds between two looks at a process's memory


@dataclass(frozen=True)
class Watched:
    """What a process printed, how long it took, and the most bytes that it held.

    `anonymous` leaves out what it maps from files, `resident` does not.
    """

    output: str
    seconds: float
    anonymous: int
    resident: int

    @property
    def last(self) -> dict[str, Any]:
        """The last line that it printed, in JSON."""
        found: dict[str, Any] = json.loads(self.output.splitlines()[-1])
        return found


def watch(command: Sequence[object]) -> Watched:
    """Run a process to its end and look at its memory meanwhile; exit where it fails."""
    start = time.perf_counter()
    child = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    most = {"RssAnon": 0, "VmHWM": 0}
    while child.poll() is None:
        for name, held in memory(child.pid).items():
            most[name] = max(most[name], held)
        time.sleep(OFTEN)
    seconds = time.perf_counter() - start
    assert child.stdout is not None
    if child.returncode:
        sys.exit(f"failed with code {child.returncode}: {' '.join(map(str, command))}")
    return Watched(child.stdout.read(), seconds, most["RssAnon"], most["VmHWM"])


def memory(process: int) -> dict[str, int]:
    """Bytes that it holds now and, with files, held at most; nothing where it has just ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    found = dict(line.split(":", 1) for line in lines)
    return {name: int(found[name].split()[0]) * 1024 for name in ("RssAnon", "VmHWM") if name in found}


def step(
    name: str, config: Path, out: Path, *options: object, under: Sequence[str] = ()
) -> dict[str, Any]:
    """One step of the pipeline in a process of its own: what step.py says, and its memory.

    `under` is a command that limits what it is given to run.
    """
    found = watch([*under, sys.executable, HERE / "step.py", name, config, out, *options])
    measured = {**found.last, "anonymous": found.anonymous, "resident": found.resident}
    print(name, json.dumps(measured), flush=True)
    return measured


def make_log(folder: Path) -> None:
    """Write W1 with the generator that lies beside the public logs, where it is missing."""
    if (folder / "truth.json").exists():
        return
    data = os.environ.get("RECMTL_DATA")
    generator = Path(data or "").parent / "bench" / "w1.py"
    if not data or not generator.exists():
        sys.exit("no W1: set --w1 to its folder, or RECMTL_DATA to the logs beside its generator")
    subprocess.run([sys.executable, str(generator), str(folder)], check=True)


def prepared(config: Path, out: Path) -> Path:
    """`out` with the examples and shards of a configuration; what is current stays."""
    for name in ("ingest", "encode"):
        step(name, config, out)
    return out


def beside(out: Path, name: str) -> Path:
    """A folder for other runs on the same shards: a run's folder has one writer at a time."""
    folder = out.with_name(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for made in ("examples", "contract", "encoder", "shards"):
        (folder / made).symlink_to(out.absolute() / made)
    return folder


def has_bf16() -> bool:
    """Whether the processor multiplies bf16 itself; without that it is ten times slower than fp32."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split() if info.exists() else []
    return "amx_bf16" in flags or "avx512_bf16" in flags


def keep(name: str, result: Mapping[str, Any]) -> None:
    """Write a result to where report.py reads it, with the machine and the day."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine(), **result}, indent=1))


def machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    processor = f"{len(names)} × {names[0]}" if names else platform.processor()
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    threads = os.environ.get("OMP_NUM_THREADS") or os.cpu_count()
    return (f"{date.today():%d %B %Y}. {processor}, {threads} threads, no GPU. "
            f"Python {platform.python_version()}, {versions}.")
