"""Trainings that are killed at random moments, and whether the last one ends with the same weights.

    python benchmarks/kill_train.py CONFIG OUT MODEL [--kills 20] [--after 0.3 1.0]

OUT holds the shards of CONFIG (`recmtl ingest`, `recmtl encode`). A run is trained undisturbed; then it
is started and killed (SIGKILL) again and again, each start going on from the last checkpoint, until it
ends; its weights must be those of the undisturbed one, byte for byte. That goes on for so many kills,
each after a random share of the undisturbed run's time.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import beside, keep
from recmtl.data.shards import Shards
from recmtl.folder import is_current, read_manifest

STEPS = 20  # between checkpoints, at least


def start(config: Path, out: Path, model: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "recmtl.cli", "train", str(config), "--out", str(out),
               "--model", model, "--seed", "1", "--no-track", "--device", "cpu"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def weights(run: Path) -> bytes:
    return (run / "bundle" / "weights.safetensors").read_bytes()


def often(config: Path) -> Path:
    """The same file with checkpoints every few steps, beside it: paths are relative to it."""
    file = config.with_name(f".{config.stem}-often.toml")
    file.write_text(config.read_text().replace("[train]", f"[train]\ncheckpoint_steps = {STEPS}", 1))
    return file


def undisturbed(config: Path, whole: Path, model: str) -> tuple[Path, float]:
    """The finished run, and the seconds that it took."""
    begin = time.perf_counter()
    assert start(config, whole, model).wait() == 0
    takes = time.perf_counter() - begin
    run = whole / "models" / model / "seed-1"
    epochs = [epoch["timings"] for epoch in read_manifest(run)["epochs"]]
    spent, trained = (sum(e[name] for e in epochs) for name in ("checkpoint_seconds", "train_seconds"))
    print(f"undisturbed: {takes:.1f} s; checkpoints took {spent:.2f} s of {trained:.1f} s of training, "
          f"{spent / trained:.2%}", flush=True)
    return run, takes


def last_step(run: Path) -> str:
    """Where the last checkpoint stands."""
    last = run.with_name(f".{run.name}.resume") / "checkpoint"
    where = read_manifest(last)["standing"] if last.exists() else {"epoch": 1, "steps": 0}
    return f"epoch {where['epoch']}, step {where['steps']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("model")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--after", type=float, nargs=2, default=[0.3, 1.0], help="share of a run's time")
    chosen = parser.parse_args()
    config, draw, ended = often(chosen.config), random.Random(7), 0
    places: list[str] = []
    whole, out = (beside(chosen.out, f"{chosen.out.name}-{name}") for name in ("whole", "killed"))
    other, takes = undisturbed(config, whole, chosen.model)
    run = out / "models" / chosen.model / "seed-1"
    while len(places) < chosen.kills:
        if run.exists():
            assert weights(run) == weights(other), "other weights than undisturbed"
            ended += 1
            print(f"ended after {len(places)} kills in all: the same weights", flush=True)
            shutil.rmtree(run)
            continue
        child = start(config, out, chosen.model)
        time.sleep(draw.uniform(*chosen.after) * takes)
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            places.append(last_step(run))
            print(f"kill {len(places)}: at {places[-1]} or later", flush=True)
        child.wait()
    assert start(config, out, chosen.model).wait() == 0
    assert weights(run) == weights(other) and is_current(run, read_manifest(other)["key"])
    print(f"{len(places)} kills, {ended + 1} runs to the end: the same weights, byte for byte")
    rows = len(Shards.open(whole / "shards" / "train"))
    keep("kill_train", {"model": chosen.model, "rows": rows, "places": places, "ended": ended + 1})
    config.unlink()


if __name__ == "__main__":
    main()
