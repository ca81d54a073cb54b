"""What share of its floor each model's training step reaches, beside that of the first, all in turns.

    python benchmarks/family.py CONFIG OUT [CONFIG OUT ...] [--precision fp32] [--rounds 8] [--threads 1]

OUT holds the shards of CONFIG (`recmtl ingest`, `recmtl encode`): of w1a.toml for family.toml, which has
every sharing and interaction, of w1.toml for family_lists.toml, which has attention. The floor is that of
`floor.py`, of the products that a step is seen to make: each one measured alone, and the table's rows.
Seconds are the processor's, so that what else it does counts little.
"""

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.floor import Part, multiplying, table_parts, weighing
from recmtl.batch import Batch
from recmtl.data.loader import Loader
from recmtl.data.shards import Shards
from recmtl.experiment import Experiment
from recmtl.kernels import engine, products
from recmtl.learn.group import ALONE
from recmtl.learn.optim import build_optimizers
from recmtl.learn.settings import TrainConfig
from recmtl.learn.step import make_step, parameters
from recmtl.memory import keep_freed_memory
from recmtl.run import Run, _model

SMALL = 1 << 20  # rows × inner × columns of a product that is worth its own measure
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the products of two matrices, (rows, inner, columns), that are made while it is on."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: Counter[tuple[int, int, int]] = Counter()

    def __torch_dispatch__(  # type: ignore[no-untyped-def]
        self, func, types, args=(), kwargs=None
    ) -> object:
        out = func(*args, **(kwargs or {}))
        name = func.name().removesuffix(".out")
        if name in ("aten::mm", "aten::addmm", "mkldnn::_linear_pointwise"):
            left = args[1] if name == "aten::addmm" else args[0]
            self.seen[len(left), left.shape[1], out.shape[1]] += 1
        if name == "aten::bmm":
            self.seen[args[0].shape[1], args[0].shape[2], args[1].shape[2]] += len(args[0])
        return out

    def parts(self, batch: int, dtype: torch.dtype) -> Iterator[Part]:
        """Those that are not tiny, and how often; sums over all rows or values are weights' gradients."""
        for (rows, inner, columns), times in self.seen.items():
            if rows * inner * columns >= SMALL:
                name = f"{rows} × {inner} × {columns}"
                call = (_gradient if inner >= batch else _product)(rows, inner, columns, dtype)
                yield Part(name, call, 0.0, "", times)


def counting(call: Callable[[], object]) -> Products:
    """The products of a call, all made by torch meanwhile, which alone tells of them."""
    counted = Products()
    with patch.object(products, "_mkl_is_slow", lambda: False), counted:
        call()
    return counted


def _product(rows: int, inner: int, columns: int, dtype: torch.dtype) -> Callable[[], object]:
    x, weight = torch.randn(rows, inner).to(dtype), torch.randn(columns, inner).to(dtype)
    return multiplying(x, weight)


def _gradient(rows: int, inner: int, columns: int, dtype: torch.dtype) -> Callable[[], object]:
    gradient, x = torch.randn(inner, rows).to(dtype), torch.randn(inner, columns).to(dtype)
    return weighing(gradient, x)


@dataclass
class Case:
    """A model's step and the parts of its floor, with the seconds that steps took."""

    step: Callable[[Batch], object]
    parts: list[Part]
    seconds: list[float] = field(default_factory=list)

    def measure(self, batch: Batch, keep: bool) -> None:
        for part in self.parts:
            taken = _seconds(part.call)
            if keep:
                part.seconds.append(taken)
        taken = _seconds(lambda: self.step(batch))
        if keep:
            self.seconds.append(taken)

    @property
    def floor(self) -> float:
        return sum(part.median * part.times for part in self.parts)


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _built(run: Run, train: Shards, config: TrainConfig, batch: Batch) -> Case:
    model, objective = _model(run, train)
    model.train()
    step = make_step(model, objective, build_optimizers(*parameters(model), config), config, ALONE)
    counted = counting(lambda: step(batch))
    parts = list(counted.parts(config.batch_size, DTYPES[config.precision]))
    for table in parameters(model)[0]:
        parts += table_parts(table.detach(), batch)
    return Case(step, parts)


def measured(experiment: Experiment, out: Path, precision: str, rounds: int) -> dict[str, Case]:
    """The models of a file, in turns on one batch of its shards."""
    config = experiment.train.model_copy(update={"precision": precision})
    train = Shards.open(out / "shards" / "train")
    batch = next(Loader(train, config.batch_size, seed=1).batches(1))
    cases = {
        name: _built(Run(experiment, name, 1, out), train, config, batch) for name in experiment.models
    }
    for number in range(rounds + 1):
        for case in cases.values():
            case.measure(batch, keep=number > 0)
    return cases


def table(cases: dict[str, Case]) -> str:
    lines = ["| model | floor, ms | step, ms | floor / step | of the first's |", "|---|---|---|---|---|"]
    first = None
    for name, case in cases.items():
        step = statistics.median(case.seconds)
        share = case.floor / step
        first = first or share
        lines.append(
            f"| {name} | {case.floor * 1e3:.1f} | {step * 1e3:.1f} | {share:.0%} | {share / first:.0%} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("given", type=Path, nargs="+", metavar="CONFIG OUT")
    parser.add_argument("--precision", default="fp32", choices=DTYPES)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    if len(chosen.given) % 2:
        parser.error("each CONFIG stands before its OUT")
    torch.set_num_threads(chosen.threads)
    keep_freed_memory()  # as a fit does
    for config, out in zip(chosen.given[::2], chosen.given[1::2], strict=True):
        experiment = Experiment.read(config)
        cases = measured(experiment, out, chosen.precision, chosen.rounds)
        size = experiment.train.batch_size
        print(f"{config.name}, {chosen.precision}, batch {size}, loops: {engine()}\n\n{table(cases)}\n")


if __name__ == "__main__":
    main()
