"""The speed and memory of every step on W1, and recmtl beside its floor and its peers, in turns.

    python benchmarks/w1.py [--w1 FOLDER] [--out FOLDER] [--turns 5] [--steps 15] [--quick]

Makes the log where it is missing and runs each step in a process of its own. Then recmtl, the floor of
its training step (floor.py) and the peers train, and recmtl and the peers score, in turns, block by
block, so that all meet the same machine. Peers live in environments of their own, made where missing.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.measure import HERE, PEERS, RUNS, beside, has_bf16, keep, make_log, step, watch
from benchmarks.race import Racer, race

READS = ("pandas==3.1.1", "pyarrow==25.0.1")
NEEDS = {
    "rechub": ("torch==2.13.0", "torch-rechub==0.9.0", *READS),
    "deepctr": ("torch==2.13.0", "deepctr-torch==0.3.0", "requests==2.34.2", *READS),
}
TITLES = {"rechub": "torch-rechub", "deepctr": "deepctr-torch"}
MODELS, USERS = ("mmoe", "shared_bottom", "esmm"), 1_000_000
PRECISIONS = ("fp32", "bf16") if has_bf16() else ("fp32",)
PARTS = ("decode", "fit", "encode")  # of making shards
W1A = HERE / "w1a.toml"


def make_peer(name: str) -> Path:
    """The Python of a peer's own environment; torch first, so that it stays the CPU build."""
    folder, needs = PEERS / name, NEEDS[name]
    python, made = folder / "bin" / "python", folder / ".installed"
    if not made.exists() or made.read_text() != str(needs):
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        for some in (needs[:1], needs):
            subprocess.run([str(python), "-m", "pip", "install", "-qq", *some], check=True)
        made.write_text(str(needs))
    return python


def steps(config: Path, out: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Steps of the pipeline from an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    return {name: step(name, config, out) for name in names}


def preparing(log: Path, out: Path, turns: int) -> dict[str, list[dict[str, Any]]]:
    """Decoding, fitting and encoding W1a, in turns with the way that the peers' documentation goes."""
    python = make_peer("rechub")
    found: dict[str, list[dict[str, Any]]] = {"recmtl": [], "peers": []}
    for _ in range(turns):
        fresh = beside(out, "encoding")
        for made in ("encoder", "shards"):
            (fresh / made).unlink()
        found["recmtl"].append({name: step(name, W1A, fresh) for name in PARTS})
        peer = watch([python, HERE / "peers" / "rows.py", log])
        found["peers"].append({**peer.last, "anonymous": peer.anonymous, "resident": peer.resident})
        print("peers", json.dumps(found["peers"][-1]), flush=True)
    return found


def peers(log: Path, model: str, block: int) -> dict[str, Racer]:
    """Each peer as its documentation trains, with a table of all users; and at its best."""
    setups = {"own loader": ("own", model, USERS), "batches cut": ("cut", model)}
    found: dict[str, Racer] = {}
    for name in NEEDS:
        command = [make_peer(name), HERE / "peers" / f"{name}.py", log, block]
        found |= {f"{TITLES[name]}, {setup}": Racer([*command, *options])
                  for setup, options in setups.items()}
    return found


def training(out: Path, model: str, block: int) -> dict[str, Racer]:
    """recmtl in each precision."""
    pace = [sys.executable, HERE / "paced.py", "train", W1A]
    return {
        f"recmtl {precision}": Racer([*pace, beside(out, f"race-{precision}"), block, model, precision])
        for precision in PRECISIONS
    }


def scoring(out: Path, model: str, block: int) -> dict[str, Racer]:
    """recmtl in each precision, with the model that lies in `out`."""
    found = {}
    for precision in PRECISIONS:
        folder = beside(out, f"scoring-{precision}")
        (folder / "models").symlink_to(out / "models")
        command = [sys.executable, HERE / "paced.py", "score", W1A, folder, block, model, precision]
        found[f"recmtl {precision}"] = Racer(command)
    return found


def floors(out: Path, model: str) -> dict[str, Racer]:
    """The sum of what a training step cannot do without, in each precision."""
    command = [sys.executable, HERE / "floor.py", W1A, out, "--race", "--model", model]
    return {f"floor {p}": Racer([*command, "--precision", p]) for p in PRECISIONS}


def race_of(log: Path, out: Path, model: str, turns: int, block: int) -> dict[str, Any]:
    """One model's training and, of MMoE, scoring: rates by turn, the most memory, the floor's parts."""
    others = peers(log, model, block)
    racers = {**floors(out, model), **others, **training(out, model, block)}
    rates, last = race(racers, "train", turns)
    found = {"train": rates, "floor": {n: last[n]["parts"] for n in racers if n.startswith("floor")}}
    if model == MODELS[0]:
        scorers = scoring(out, model, block)
        found["score"] = race({**others, **scorers}, "score", turns)[0]
        racers |= {f"{name}, scoring": racer for name, racer in scorers.items()}
    found["resident"] = {name: racer.stop() for name, racer in racers.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--w1", type=Path, default=PEERS / "w1")
    parser.add_argument("--out", type=Path, default=RUNS)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=15, help="in a block")
    parser.add_argument("--quick", action="store_true", help="a turn of few steps, to see that it works")
    chosen = parser.parse_args()
    log, out = chosen.w1.absolute(), chosen.out.absolute()
    turns, block = (1, 2) if chosen.quick else (chosen.turns, chosen.steps)
    os.environ["W1"] = str(log)
    make_log(log)
    out.mkdir(parents=True, exist_ok=True)
    every = ("ingest", "encode", "train", "score")
    found: dict[str, Any] = {"lists": steps(HERE / "w1.toml", out / "w1", every)}
    profile = [sys.executable, HERE / "profile_step.py", HERE / "w1.toml", beside(out / "w1", "profile")]
    found["profile"] = watch(profile).output
    found["steps"] = steps(W1A, out / "w1a", every)
    found["preparing"] = preparing(log, out / "w1a", min(turns, 2))
    found["races"] = {model: race_of(log, out / "w1a", model, turns, block) for model in MODELS}
    keep("w1", found)


if __name__ == "__main__":
    main()
