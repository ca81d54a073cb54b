"""The MMoE paper's synthetic regressions: 200 seeds of each model side by side, as its figures 4 and 5.

    python -m benchmarks.studies.synthetic_mmoe [--quick]

Figures go to docs/images, tables to standard output. Learning rates are chosen on seeds of their own,
from one grid for all models. `--quick` is a few seeds and steps, to see that it works; it writes nothing.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.studies.regression_world import INPUTS, NOISE, Worlds
from benchmarks.studies.results import IMAGES, bootstrap, keep, table, told
from benchmarks.studies.stacked import Network, forward, stack
from recmtl.model.sharing import MMoE, OMoE, SharedBottom, Sharing
from recmtl.page import histograms, lines, save_figure

EXPERTS = {"experts": 8, "hidden": (16,)}
COSINES = (0.5, 0.9, 1.0)
TITLES = {"shared_bottom": "Shared-Bottom", "omoe": "OMoE", "mmoe": "MMoE"}
PAIRS = (("mmoe", "shared_bottom"), ("omoe", "shared_bottom"), ("mmoe", "omoe"))
QUANTILES = (0.05, 0.5, 0.95, 1.0)
Curves = dict[str, np.ndarray]  # model → (times measured, S)


@dataclass(frozen=True)
class Plan:
    """How much is trained: the same for every model."""

    seeds: Sequence[int] = range(200)
    choosing: Sequence[int] = range(1000, 1020)  # on which learning rates are chosen
    rates: Sequence[float] = (1e-3, 3e-3, 1e-2, 3e-2)
    steps: int = 2000
    batch: int = 64
    held_out: int = 1024
    measured: int = 16  # times on the way, evenly


BLOCK = 50  # seeds side by side: more are slower, as their numbers leave the processor's cache
QUICK = Plan(range(6), range(1000, 1002), (1e-3, 1e-2), steps=40, batch=16, held_out=64, measured=4)


def models() -> dict[str, Sharing]:
    """The paper's three, Shared-Bottom as wide as MMoE's parameters allow."""
    mmoe = MMoE.model_validate(EXPERTS)
    width = 1
    while parameters(SharedBottom(hidden=(width + 1,))) <= parameters(mmoe):
        width += 1
    bottom = SharedBottom(hidden=(width,))
    return {"shared_bottom": bottom, "omoe": OMoE.model_validate(EXPERTS), "mmoe": mmoe}


def parameters(sharing: Sharing) -> int:
    return sum(weight.numel() for weight in Network(sharing, INPUTS).parameters())


def train_all(seeds: Sequence[int], cosine: float, rates: Mapping[str, float], plan: Plan) -> Curves:
    """`train` on the worlds of so many seeds, block by block."""
    blocks = [
        train(Worlds.make(seeds[start : start + BLOCK], cosine), rates, plan)
        for start in range(0, len(seeds), BLOCK)
    ]
    return {name: np.concatenate([block[name] for block in blocks], axis=1) for name in rates}


def train(worlds: Worlds, rates: Mapping[str, float], plan: Plan) -> Curves:
    """Train a network of each model on each world, all on the same rows; held-out losses on the way."""
    sharings = models()
    nets = {name: stack(sharings[name], INPUTS, worlds.seeds) for name in rates}
    optimizers = [torch.optim.Adam(nets[name].values(), rate, fused=True) for name, rate in rates.items()]
    rows, every = worlds.rows("train"), plan.steps // plan.measured
    held_out = worlds.rows("held out").draw(plan.held_out)
    curves: dict[str, list[np.ndarray]] = {name: [] for name in nets}
    for step in range(plan.steps + 1):
        if step % every == 0:
            with torch.no_grad():
                for name, net in nets.items():
                    curves[name].append(losses(forward(name, net, held_out[0]), held_out[1]).numpy())
        x, y = rows.draw(plan.batch)
        total = torch.stack([losses(forward(name, net, x), y).sum() for name, net in nets.items()]).sum()
        for optimizer in optimizers:
            optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
    return {name: np.stack(found) for name, found in curves.items()}


def losses(predicted: Tensor, label: Tensor) -> Tensor:
    """Each seed's squared error, mean over rows and tasks: (S, B, T) → (S,)."""
    return (predicted - label).square().mean((1, 2))


def choose(cosine: float, plan: Plan) -> tuple[dict[str, float], dict[str, list[float]]]:
    """The learning rate of each model with the least mean loss, and what each of the grid gave."""
    found: dict[str, list[float]] = {name: [] for name in models()}
    for rate in plan.rates:
        for name, curve in train_all(plan.choosing, cosine, dict.fromkeys(found, rate), plan).items():
            found[name].append(float(curve[-1].mean()))
    return {name: plan.rates[int(np.argmin(means))] for name, means in found.items()}, found


def study(plan: Plan, say: Callable[[str], None] = print) -> dict[float, dict[str, Any]]:
    """Per cosine: the rates, what the grid gave, the curves, and the noise that no model explains."""
    found = {}
    for cosine in COSINES:
        rates, grid = choose(cosine, plan)
        say(f"cosine {cosine}: learning rates {rates}, losses on the grid {grid}")
        curves = train_all(plan.seeds, cosine, rates, plan)
        say(f"cosine {cosine}: " + ", ".join(f"{n} {c[-1].mean():.4f}" for n, c in curves.items()))
        noise = float((NOISE / Worlds.make(plan.seeds, cosine).spread).square().mean())
        found[cosine] = {"rates": rates, "grid": grid, "curves": curves, "noise": noise}
    return found


def tables(found: Mapping[float, Mapping[str, Any]], plan: Plan) -> str:
    """Final losses, differences by seed, spread over seeds and learning rates."""
    means, differences, spreads, rates = [], [], [], []
    for cosine, part in found.items():
        final = {name: curve[-1] for name, curve in part["curves"].items()}
        drawn = bootstrap(final)
        means.append([cosine, *(told(drawn.estimate(n)) for n in TITLES), f"{part['noise']:.4f}"])
        differences.append([cosine, *(told(drawn.difference(*pair), signed=True) for pair in PAIRS)])
        for name, title in TITLES.items():
            spread = np.quantile(final[name], QUANTILES)
            twice = np.mean(final[name] > 2 * np.median(final[name]))
            spreads.append([cosine, title, *(f"{value:.4f}" for value in spread), f"{twice:.1%}"])
            grid = (f"{value:.4f}" for value in part["grid"][name])
            rates.append([cosine, title, *grid, f"{part['rates'][name]:g}"])
    pairs = [f"{TITLES[a]} − {TITLES[b]}" for a, b in PAIRS]
    return "\n\n".join([
        table(["cosine", *TITLES.values(), "noise"], means),
        table(["cosine", *pairs], differences),
        table(["cosine", "model", "5 %", "median", "95 %", "worst", "above twice the median"], spreads),
        table(["cosine", "model", *(f"{rate:g}" for rate in plan.rates), "chosen"], rates),
    ])


def draw(found: Mapping[float, Mapping[str, Any]], plan: Plan) -> None:
    """The paper's figures 4 and 5."""
    steps = np.linspace(0, plan.steps, plan.measured + 1)
    panels = {
        f"cosine {cosine}": {TITLES[n]: (steps[1:].tolist(), c.mean(1)[1:].tolist())
                             for n, c in part["curves"].items()}
        for cosine, part in found.items()
    }
    curves = lines(panels, ("step", "held-out loss, mean over seeds"))
    save_figure(curves, IMAGES / "study-synthetic-curves.png")
    final = {
        f"cosine {cosine}": {TITLES[n]: c[-1].tolist() for n, c in part["curves"].items()}
        for cosine, part in found.items()
    }
    save_figure(histograms(final, ("final loss", "seeds")), IMAGES / "study-synthetic-spread.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    plan = QUICK if quick else Plan()
    for name, sharing in models().items():
        print(name, sharing.hidden, f"{parameters(sharing):,} parameters")
    found = study(plan)
    print(tables(found, plan))
    if not quick:
        draw(found, plan)
        keep("study_synthetic", {
            str(c): {**part, "curves": {n: v.tolist() for n, v in part["curves"].items()}}
            for c, part in found.items()
        })


if __name__ == "__main__":
    main()
