"""Trainings that are killed at random moments, and whether the last one ends with the same weights.

    python benchmarks/kill_train.py CONFIG OUT MODEL [--kills 20]

OUT holds the shards of CONFIG (`recmtl ingest`, `recmtl encode`). A run is trained undisturbed; then it
is started and killed (SIGKILL) again and again, each start going on from the last checkpoint, until it
ends; its weights must be those of the undisturbed one, byte for byte. That goes on for so many kills.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from recmtl.folder import is_current, read_manifest

STEPS = 20  # between checkpoints, at least


def start(config: Path, out: Path, model: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "recmtl.cli", "train", str(config), "--out", str(out),
               "--model", model, "--seed", "1", "--no-track", "--device", "cpu"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def beside(out: Path, name: str) -> Path:
    """A folder with the same shards and no runs."""
    folder = out.with_name(f"{out.name}-{name}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for step in ("examples", "contract", "encoder", "shards"):
        (folder / step).symlink_to(out.absolute() / step)
    return folder


def weights(run: Path) -> bytes:
    return (run / "bundle" / "weights.safetensors").read_bytes()


def often(config: Path) -> Path:
    """The same file with checkpoints every few steps, beside it: paths are relative to it."""
    file = config.with_name(f".{config.stem}-often.toml")
    file.write_text(config.read_text().replace("[train]", f"[train]\ncheckpoint_steps = {STEPS}", 1))
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("model")
    parser.add_argument("--kills", type=int, default=20)
    chosen = parser.parse_args()
    config, draw, killed, ended = often(chosen.config), random.Random(7), 0, 0
    whole, out = beside(chosen.out, "whole"), beside(chosen.out, "killed")
    run = out / "models" / chosen.model / "seed-1"
    other = whole / "models" / chosen.model / "seed-1"
    begin = time.perf_counter()
    assert start(config, whole, chosen.model).wait() == 0
    takes = time.perf_counter() - begin
    epochs = [epoch["timings"] for epoch in read_manifest(other)["epochs"]]
    spent, trained = (sum(e[name] for e in epochs) for name in ("checkpoint_seconds", "train_seconds"))
    print(f"undisturbed: {takes:.1f} s; checkpoints took {spent:.2f} s of {trained:.1f} s of training, "
          f"{spent / trained:.2%}", flush=True)
    while killed < chosen.kills:
        if run.exists():
            assert weights(run) == weights(other), "other weights than undisturbed"
            ended += 1
            print(f"ended after {killed} kills in all: the same weights", flush=True)
            shutil.rmtree(run)
            continue
        child = start(config, out, chosen.model)
        time.sleep(draw.uniform(0.3, 1.0) * takes)
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
            killed += 1
        child.wait()
        last = run.with_name(f".{run.name}.resume") / "checkpoint"
        where = read_manifest(last)["standing"] if last.exists() else {"epoch": 1, "steps": 0}
        print(f"kill {killed}: at epoch {where['epoch']}, step {where['steps']} or later", flush=True)
    assert start(config, out, chosen.model).wait() == 0
    assert weights(run) == weights(other) and is_current(run, read_manifest(other)["key"])
    print(f"{killed} kills, {ended + 1} runs to the end: the same weights, byte for byte")
    config.unlink()


if __name__ == "__main__":
    main()
