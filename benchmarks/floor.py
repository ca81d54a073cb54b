"""How near a training step comes to the sum of its products and look-ups at this machine's rates.

    python benchmarks/floor.py CONFIG OUT [--model mmoe] [--precision fp32] [--rounds 15] [--race]

OUT holds the shards of CONFIG (`recmtl ingest`, `recmtl encode`). Each product of each layer, forward
and backward, is measured alone at its own shape, by whichever of torch and recmtl's own loops is quicker
there, and so are the gather of a batch's rows, the sort of them, and a copy of those touched; their
medians add up to the floor. Steps on batches from the shards are measured in turns with them, so that
both meet the same machine. Loader and the optimizer's arithmetic are left out of the floor. `unique`,
which gives each row once as the sort does, is measured beside them and not counted.

With --race it waits for a line before each round of the parts, as the contestants of w1.py do.
"""

import argparse
import json
import statistics
import sys
import time
import timeit
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.steps import Case, make_case
from recmtl.batch import Batch
from recmtl.data.shards import Shards
from recmtl.experiment import Experiment
from recmtl.kernels import chain_gradients, engine, ours, side_by_side
from recmtl.learn.step import parameters
from recmtl.memory import keep_freed_memory

ROUNDS = 4  # a turn of a race
TRIES = 9  # of each way to a product


@dataclass
class Part:
    """One operation at one shape, `times` of it in a step."""

    name: str
    call: Callable[[], object]
    operations: float  # floating-point operations, or bytes
    unit: str
    times: int = 1

    def __post_init__(self) -> None:
        self.seconds: list[float] = []

    def measure(self) -> None:
        start = time.perf_counter()
        self.call()
        self.seconds.append(time.perf_counter() - start)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def products(name: str, weight: Tensor, rows: int, dtype: torch.dtype, times: int) -> Iterator[Part]:
    """Forward, the gradient of the input, and that of the weight (outputs, inputs)."""
    outputs, inputs = weight.shape
    x, g = torch.randn(rows, inputs).to(dtype), torch.randn(rows, outputs).to(dtype)
    w = torch.randn(outputs, inputs).to(dtype)
    work = 2.0 * rows * inputs * outputs
    shape = f"{name}: {rows} × {inputs} × {outputs}"
    yield Part(f"{shape}, forward", multiplying(x, w), work, "GFLOP/s", times)
    yield Part(f"{shape}, input's gradient", multiplying(g, w.t()), work, "GFLOP/s", times)
    yield Part(f"{shape}, weight's gradient", weighing(g, x), work, "GFLOP/s", times)


def multiplying(x: Tensor, weight: Tensor) -> Callable[[], object]:
    """x Wᵀ of (B, inputs) and (outputs, inputs), or its transpose, by the quickest way here."""
    return _quickest(
        lambda: side_by_side(x, [weight]), lambda: torch.mm(x, weight.t()),
        lambda: torch.mm(weight, x.t()),
    )


def weighing(gradient: Tensor, x: Tensor) -> Callable[[], object]:
    """gᵀ x of (B, outputs) and (B, inputs) by the quickest way here."""
    return _quickest(lambda: weight_gradient(gradient, x), lambda: torch.mm(gradient.t(), x))


def _quickest(*ways: Callable[[], object]) -> Callable[[], object]:
    return min(ways, key=lambda way: min(timeit.repeat(way, number=1, repeat=TRIES)))


def weight_gradient(gradient: Tensor, x: Tensor) -> Tensor:
    """gᵀ x of (B, outputs) and (B, inputs), as a step makes it."""
    if not ours(x):
        return torch.mm(gradient.t(), x)
    weight = x.new_empty(gradient.shape[1], x.shape[1])  # for its shape
    _, (found,), _ = chain_gradients([gradient], [x, gradient], [[weight]], 1.0, of_x=False, masked=True)
    return found


def dense_parts(model: nn.Module, rows: int, dtype: torch.dtype) -> Iterator[Part]:
    """The products of every weight of the dense part, equal shapes counted."""
    shapes: dict[tuple[int, ...], list[str]] = {}
    weights = {n: p for n, p in model.named_parameters() if p.ndim == 2 and "tables" not in n}
    for name, weight in weights.items():
        shapes.setdefault(tuple(weight.shape), []).append(name)
    for names in shapes.values():
        yield from products(names[0], weights[names[0]], rows, dtype, len(names))


def table_parts(table: Tensor, batch: Batch) -> list[Part]:
    """What the batch reads of a table, the order of its rows, and those touched read and written once."""
    rows = torch.cat([batch.rows.reshape(-1), *(ragged.values for ragged in batch.lists.values())])
    touched = table.index_select(0, torch.unique(rows))
    into = torch.empty_like(touched)
    read, kept = (float(tensor.numel() * 4) for tensor in (table.index_select(0, rows), touched))
    return [
        Part(f"gather of {len(rows):,} rows", lambda: table.index_select(0, rows), read, "GB/s"),
        Part(f"sort of {len(rows):,} rows", rows.sort, len(rows) * 4.0, "GB/s"),
        Part(f"unique of {len(rows):,} rows", rows.unique, len(rows) * 4.0, "GB/s", 0),
        Part(f"copy of {len(touched):,} rows", lambda: into.copy_(touched), 2 * kept, "GB/s", 2),
    ]


def parts_of(case: Case) -> list[Part]:
    """All that a step of it cannot do without."""
    batch = case.batches[0]
    parts = list(dense_parts(case.model, len(batch), case.dtype))
    for weights in parameters(case.model)[0]:
        parts += table_parts(weights.detach(), batch)
    return parts


def floor_of(parts: list[Part]) -> float:
    """Seconds a step."""
    return sum(part.median * part.times for part in parts)


def table(parts: list[Part], step: float) -> str:
    lines = ["| part of a step | times | ms each | rate |", "|---|---|---|---|"]
    for part in parts:
        rate = part.operations / part.median / 1e9
        lines.append(f"| {part.name} | {part.times} | {part.median * 1e3:.2f} | {rate:.0f} {part.unit} |")
    floor = floor_of(parts)
    lines.append(f"| **floor** | | **{floor * 1e3:.1f}** | |")
    lines.append(f"| **step** | | **{step * 1e3:.1f}** | {floor / step:.0%} of the floor's rate |")
    return "\n".join(lines)


def in_turns(case: Case, parts: list[Part], rounds: int) -> float:
    """Fill the parts' seconds, in turns with steps; the step's median."""
    taken = []
    for _ in range(rounds + 1):
        for part in parts:
            part.measure()
        taken.append(case.turn())
    for part in parts:
        del part.seconds[0]
    return statistics.median(taken[1:])


def race(parts: list[Part], rows: int) -> None:
    """A round of the parts for each line that comes in."""
    print("ready", flush=True)
    for _ in sys.stdin:
        for part in parts * ROUNDS:
            part.measure()
        turn = sum(statistics.median(part.seconds[-ROUNDS:]) * part.times for part in parts)
        print(json.dumps({"rows": rows, "seconds": turn, "parts": [said(p) for p in parts]}), flush=True)


def said(part: Part) -> dict[str, Any]:
    return {"name": part.name, "times": part.times, "seconds": part.median,
            "rate": part.operations / part.median / 1e9, "unit": part.unit}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="mmoe")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--race", action="store_true")
    chosen = parser.parse_args()
    keep_freed_memory()  # as a fit does
    experiment = Experiment.read(chosen.config)
    train = Shards.open(chosen.out / "shards" / "train")
    case = make_case(experiment, train, chosen.model, chosen.precision)
    parts, rows = parts_of(case), len(case.batches[0])
    if chosen.race:
        race(parts, rows)
        return
    taken = in_turns(case, parts, chosen.rounds)
    print(f"{chosen.model}, {chosen.precision}, batch {rows}, loops: {engine()}\n")
    print(table(parts, taken))


if __name__ == "__main__":
    main()
