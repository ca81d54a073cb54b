"""Training on a GPU, end to end from encoded shards: rows a second by batch, precision and loops.

    python benchmarks/gpu.py CONFIG OUT [--models mmoe …] [--batches 4096 65536] [--epochs 6]

OUT holds the shards of CONFIG (`recmtl ingest`, `recmtl encode`). It is `recmtl.learn.fit` itself, loader
included. The first epoch, in which the shards go to the GPU and kernels are compiled, stands apart; of
the others, the median. Then a profile of steps in bf16 at the largest batch, by what the time is for.
Models after the first are trained at the largest batch in bf16 alone.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from recmtl.data.loader import Loader
from recmtl.data.shards import Shards
from recmtl.experiment import Experiment
from recmtl.kernels import engine
from recmtl.learn.fit import Parts, fit
from recmtl.learn.group import ALONE
from recmtl.learn.optim import build_optimizers
from recmtl.learn.resume import Checkpoints
from recmtl.learn.settings import TrainConfig
from recmtl.learn.step import make_step, parameters
from recmtl.run import Run, _labels, _model
from recmtl.seed import sums_in_order

NEVER = 10**9  # steps between checkpoints
PROFILED = 20
PURPOSES = {
    "batches from the shards": ("gather_kernel", "indexSelect", "index_select", "memcpy", "Memcpy"),
    "look-up": ("gather", "pool"), "update of tables": ("add_up", "adagrad"),
    "products": ("gemm", "nvjet", "cutlass", "xmma"),
    "mixtures, ReLU and their gradients": ("mask", "mix"),
}


class Bench:
    def __init__(self, config: Path, out: Path, model: str) -> None:
        self.experiment, self.out, self.model = Experiment.read(config), out, model
        self.train, self.valid = (Shards.open(out / "shards" / part) for part in ("train", "valid"))

    def settings(self, **changes: Any) -> TrainConfig:
        return self.experiment.train.model_copy(update=changes)

    def epochs(self, config: TrainConfig, resident: bool | None = None) -> list[dict[str, float]]:
        """Each epoch's timings and metrics, of a fresh model."""
        run = Run(self.experiment, self.model, 1, self.out)
        model, objective = _model(run, self.train)
        train = Loader(self.train, config.batch_size, seed=1, device="cuda")
        train.resident = resident
        valid = Loader(self.valid, run.evaluated, device="cuda")
        parts = Parts(train, valid, _labels(self.valid))
        with tempfile.TemporaryDirectory() as folder, sums_in_order(config.deterministic):
            keep = Checkpoints(Path(folder), "bench", NEVER)
            found = list(fit(model.to("cuda"), parts, objective, config, keep))
        return [{**epoch.timings, **epoch.metrics} for epoch in found]

    def profiled(self, config: TrainConfig) -> str:
        """Milliseconds of a step by what they are for, and the kernels that take most."""
        model, objective = _model(Run(self.experiment, self.model, 1, self.out), self.train)
        optimizers = build_optimizers(*parameters(model.to("cuda")), config)
        step = make_step(model, objective, optimizers, config, ALONE)
        loader = Loader(self.train, config.batch_size, seed=1, device="cuda")
        for batch in loader.batches(1):
            step(batch)
        torch.cuda.synchronize()
        both = [ProfilerActivity.CUDA, ProfilerActivity.CPU]
        with profile(activities=both, acc_events=True) as profiler:
            start = time.perf_counter()
            source = loader.batches(2)
            for _ in range(PROFILED):
                step(next(source))
            torch.cuda.synchronize()
            wall = (time.perf_counter() - start) / PROFILED
        return shares(profiler, wall)


def shares(profiler: profile, wall: float) -> str:
    kernels = [event for event in profiler.key_averages() if event.self_device_time_total > 0
               and str(event.device_type).endswith("CUDA")]
    times = dict.fromkeys([*PURPOSES, "everything else"], 0.0)
    for event in kernels:
        purpose = next((p for p, words in PURPOSES.items() if any(w in event.key for w in words)), None)
        times[purpose or "everything else"] += event.self_device_time_total / 1e3 / PROFILED
    whole = sum(times.values())
    lines = ["| what the GPU does | ms a step | share |", "|---|---|---|"]
    lines += [f"| {name} | {ms:.3f} | {ms / whole:.0%} |" for name, ms in times.items()]
    lines += [f"| all; {wall * 1e3:.2f} ms by the clock, profiler on | {whole:.3f} | |", ""]
    most = sorted(kernels, key=lambda event: -event.self_device_time_total)[:30]
    for event in most:
        each = event.self_device_time_total / 1e3 / PROFILED
        lines.append(f"    {each:.3f} ms  {event.count / PROFILED:5.1f} ×  {event.key[:100]}")
    return "\n".join(lines)


def report(name: str, found: list[dict[str, float]]) -> None:
    later = [epoch["train_rows_per_second"] for epoch in found[1:]] or [0.0]
    print(f"| {name} | {found[0]['train_seconds']:.2f} | {statistics.median(later):,.0f} "
          f"({min(later):,.0f} to {max(later):,.0f}) | {found[0]['auc_valid/ctr']:.4f}, "
          f"{found[0]['auc_valid/ctcvr']:.4f} | {torch.cuda.max_memory_allocated() / 1e9:.2f} |",
          flush=True)
    torch.cuda.reset_peak_memory_stats()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", nargs="+", default=["mmoe"])
    parser.add_argument("--batches", type=int, nargs="+", default=[4096, 65536])
    parser.add_argument("--epochs", type=int, default=6)
    chosen = parser.parse_args()
    first, *others = (Bench(chosen.config, chosen.out, name) for name in chosen.models)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, loops: {engine('cuda')}, "
          f"{len(first.train):,} rows\n")
    print("| model, batch, precision | first epoch, s | rows/s of the others, median | AUC on valid "
          "after the first: ctr, ctcvr | GB |\n|---|---|---|---|---|")
    many = {"epochs": chosen.epochs, "patience": chosen.epochs}
    for size in chosen.batches:
        for precision in ("fp32", "bf16"):
            config = first.settings(batch_size=size, precision=precision, **many)
            report(f"{first.model}, {size}, {precision}", first.epochs(config))
    largest = first.settings(batch_size=max(chosen.batches), precision="bf16", **many)
    report("the same, batches copied from the CPU's memory", first.epochs(largest, resident=False))
    in_order = largest.model_copy(update={"deterministic": True})
    runs = [first.epochs(in_order) for _ in range(2)]
    report("the same, sums in order", runs[0])
    for other in others:
        report(f"{other.model}, {largest.batch_size}, bf16", other.epochs(largest))
    losses = [{n: v for n, v in run[-1].items() if n.startswith("loss")} for run in runs]
    print(f"\ntwo runs with sums in order: {'equal' if losses[0] == losses[1] else losses}\n")
    print(first.profiled(largest))


if __name__ == "__main__":
    main()
