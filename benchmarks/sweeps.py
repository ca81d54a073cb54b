"""A training step as its settings grow: users, rows in a batch, experts; in turns, in both precisions.

    python benchmarks/sweeps.py [--w1 FOLDER] [--out FOLDER] [--turns 6] [--quick]

MMoE on W1a. Beside batches and experts stands the floor of each setting, measured in the same turns.
memory.py has the log's rows.
"""

import argparse
import os
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.floor import ROUNDS, floor_of, parts_of
from benchmarks.measure import HERE, PEERS, RUNS, has_bf16, keep, make_log, prepared
from benchmarks.steps import Case, make_case
from recmtl.data.shards import Shards
from recmtl.experiment import Experiment
from recmtl.memory import keep_freed_memory

MODEL = "mmoe"
USERS, BATCHES, EXPERTS = (100_000, 1_000_000, 10_000_000), (1024, 4096, 16384, 65536), (4, 8, 16, 32)
QUICK = ((100_000, 1_000_000), (1024, 4096), (4, 8))


def with_batch(experiment: Experiment, rows: int) -> Experiment:
    settings = experiment.train.model_copy(update={"batch_size": rows})
    return experiment.model_copy(update={"train": settings})


def with_experts(experiment: Experiment, experts: int) -> Experiment:
    config = experiment.models[MODEL]
    sharing = config.sharing.model_copy(update={"experts": experts})
    models = {MODEL: config.model_copy(update={"sharing": sharing})}
    return experiment.model_copy(update={"models": models})


def sweep(name: str, cases: dict[int, Case], turns: int, floors: bool) -> dict[str, Any]:
    """Setting → rows a second, turn by turn, and the floor's; the first turn is warm-up and left out."""
    taken: dict[int, list[float]] = {setting: [] for setting in cases}
    parts = {setting: parts_of(case) if floors else [] for setting, case in cases.items()}
    for turn in range(turns + 1):
        for setting, case in cases.items():
            for part in parts[setting] * (ROUNDS if turn else 1):
                part.measure()
            seconds = case.turn()
            if turn:
                taken[setting].append(len(case.batches[0]) / seconds)
    found = {
        "settings": list(cases), "rates": list(taken.values()),
        "floors": [len(c.batches[0]) / floor_of(parts[s]) for s, c in cases.items()] if floors else [],
    }
    print(name, {s: f"{statistics.median(r):,.0f} rows/s" for s, r in taken.items()}, flush=True)
    return found


def sweeps(
    experiment: Experiment, train: Shards, precision: str, settings: Sequence[Sequence[int]], turns: int
) -> dict[str, Any]:
    """All three in one precision."""
    def case(changed: Experiment, users: int = 0, count: int = 2) -> Case:
        return make_case(changed, train, MODEL, precision, users=users, count=count)

    makers: dict[str, Callable[[int], Case]] = {
        "users": lambda n: case(experiment, users=n, count=4),
        "batch": lambda n: case(with_batch(experiment, n)),
        "experts": lambda n: case(with_experts(experiment, n)),
    }
    return {
        name: sweep(f"{name}, {precision}", {n: make(n) for n in ns}, turns, floors=name != "users")
        for (name, make), ns in zip(makers.items(), settings, strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--w1", type=Path, default=PEERS / "w1")
    parser.add_argument("--out", type=Path, default=RUNS / "w1a", help="holds W1a's shards, or will")
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--quick", action="store_true", help="a few small settings, to see that it works")
    chosen = parser.parse_args()
    os.environ["W1"] = str(chosen.w1.absolute())
    make_log(chosen.w1)
    keep_freed_memory()
    config = HERE / "w1a.toml"
    experiment = Experiment.read(config)
    train = Shards.open(prepared(config, chosen.out) / "shards" / "train")
    settings = QUICK if chosen.quick else (USERS, BATCHES, EXPERTS)
    found = {
        precision: sweeps(experiment, train, precision, settings, chosen.turns)
        for precision in (["fp32", "bf16"] if has_bf16() else ["fp32"])
    }
    keep("sweeps", found)


if __name__ == "__main__":
    main()
