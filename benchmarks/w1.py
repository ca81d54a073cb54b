"""The speed of every step on W1, and training rates beside torch-rechub's in the same run.

    make bench     or     python benchmarks/w1.py [--w1 FOLDER] [--out FOLDER] [--blocks 8] [--steps 25]

Makes the log where it is missing, runs each step in a process of its own, profiles a training step,
then lets recmtl and the peer train in turns, block by block, so that both meet the same machine.
Writes docs/benchmarks.md.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from report import CUT, CUT_WIDE, OWN, OWN_WIDE, race_table, write_report

HERE = Path(__file__).parent
PEER = HERE / ".peers" / "rechub"
PEER_NEEDS = ("torch==2.13.0", "torch-rechub==0.9.0", "pyarrow<26")
MODELS, USERS = ("mmoe", "shared_bottom", "esmm"), 1_000_000
ROWS = {"ingest": 2_000_000, "encode": 2_000_000, "score": 2_000_000}


def run(script: str, *arguments: object) -> str:
    """What one of our scripts prints."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def make_log(folder: Path) -> None:
    """Write W1 with the generator that lies beside the public logs."""
    if (folder / "truth.json").exists():
        return
    data = os.environ.get("RECMTL_DATA")
    generator = Path(data or "").parent / "bench" / "w1.py"
    if not data or not generator.exists():
        sys.exit("no W1: set --w1 to its folder, or RECMTL_DATA to the logs beside its generator")
    subprocess.run([sys.executable, str(generator), str(folder)], check=True)


def make_peer() -> Path:
    """The Python of the peer's own environment; torch first, so that it stays the CPU build."""
    python = PEER / "bin" / "python"
    if not (PEER / ".installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER)], check=True)
        for needs in (PEER_NEEDS[:1], PEER_NEEDS):
            subprocess.run([str(python), "-m", "pip", "install", "-qq", *needs], check=True)
        (PEER / ".installed").touch()
    return python


def steps(config: Path, out: Path) -> dict[str, dict[str, float]]:
    """Seconds, rows and peak memory of each step of the pipeline."""
    found: dict[str, dict[str, float]] = {}
    for step in ("ingest", "encode", "train", "score"):
        measured = json.loads(run("step.py", step, config, out).splitlines()[-1])
        found[step] = {"rows": ROWS.get(step, 0), **measured}
        print(step, json.dumps(found[step]), flush=True)
    return found


def beside(prepared: Path, name: str) -> Path:
    """A folder for other runs on the same shards: a run's folder has one writer at a time."""
    folder = prepared.with_name(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for step in ("examples", "contract", "encoder", "shards"):
        (folder / step).symlink_to(prepared / step)
    return folder


def has_bf16() -> bool:
    """Whether the processor multiplies bf16 itself; without that it is ten times slower than fp32."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split() if info.exists() else []
    return "amx_bf16" in flags or "avx512_bf16" in flags


class Racer:
    """A process that trains a block of steps for each line that it is given."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._line("ready")

    def block(self) -> float:
        """Train a block; rows a second."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        measured: dict[str, Any] = json.loads(self._line("{"))
        return float(measured["rows"] / measured["seconds"])

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _line(self, start: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(start):
                return line
        sys.exit(f"a racer ended: {' '.join(map(str, self.process.args))}")


def contestants(log: Path, out: Path, length: int, model: str) -> dict[str, list[object]]:
    """The command of each: for MMoE the peer in four set-ups, for others in its usual and its best."""
    half = out / "w1a-bf16.toml"
    text = (HERE / "w1a.toml").read_text()
    half.write_text(text.replace('precision  = "fp32"', 'precision  = "bf16"'))
    ours = [sys.executable, HERE / "paced.py"]
    peer = [make_peer(), HERE / "peers" / "rechub.py", log, length]
    found: dict[str, list[object]] = {
        OWN: [*peer, "own", model], CUT: [*peer, "cut", model],
        CUT_WIDE: [*peer, "cut", model, USERS], OWN_WIDE: [*peer, "own", model, USERS],
    }
    if model != "mmoe":
        found = {name: found[name] for name in (CUT, OWN_WIDE)}
    found["recmtl fp32"] = [*ours, HERE / "w1a.toml", beside(out / "w1a", "race-fp32"), length, model]
    if has_bf16():
        found["recmtl bf16"] = [*ours, half, beside(out / "w1a", "race-bf16"), length, model]
    return found


def race(racers: dict[str, list[object]], blocks: int) -> dict[str, list[float]]:
    """Rows a second, block by block in turns; each racer's first block is warm-up and left out."""
    running = {name: Racer([str(part) for part in command]) for name, command in racers.items()}
    rates: dict[str, list[float]] = {name: [] for name in running}
    for number in range(blocks + 1):
        for name, racer in running.items():
            rate = racer.block()
            print(f"block {number} {name}: {rate:,.0f} rows/s", flush=True)
            if number:
                rates[name].append(rate)
    for racer in running.values():
        racer.stop()
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--w1", type=Path, default=HERE / ".peers" / "w1")
    parser.add_argument("--out", type=Path, default=HERE / ".peers" / "runs")
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--race-only", action="store_true")
    chosen = parser.parse_args()
    log, out = chosen.w1.absolute(), chosen.out.absolute()
    os.environ["W1"] = str(log)
    make_log(log)
    out.mkdir(parents=True, exist_ok=True)
    measured, profiled = {}, ""
    if not chosen.race_only:
        for name in ("w1", "w1a"):
            shutil.rmtree(out / name, ignore_errors=True)
        measured = steps(HERE / "w1.toml", out / "w1")
        profiled = run("profile_step.py", HERE / "w1.toml", beside(out / "w1", "profile"))
    for step in ("ingest", "encode"):
        run("step.py", step, HERE / "w1a.toml", out / "w1a")
    rates = {}
    for model in MODELS:
        rates[model] = race(contestants(log, out, chosen.steps, model), chosen.blocks)
        print(race_table(rates[model]))
    if not chosen.race_only:
        write_report(HERE.parent / "docs" / "benchmarks.md", measured, profiled, rates)


if __name__ == "__main__":
    main()
