"""Small networks of many seeds, trained side by side: recmtl's modules, their parameters stacked.

A step of one such network is mostly calls. With an axis of seeds before all others, (S, …), a step of
two hundred takes a few products. The formulas are those of `recmtl.model`, and a test holds them to it.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from recmtl.batch import Columns, Embedded
from recmtl.model.mlp import Tower
from recmtl.model.sharing import Sharing
from recmtl.model.sharing.options import ALL
from recmtl.seed import seed_everything

TASKS = ("first", "second")
TOWER = 8  # units of a tower
Weights = Mapping[str, Tensor]  # a parameter's name → (S, …)


class Network(nn.Module):
    """One seed's network: a sharing over inputs as they are, and a tower a task."""

    def __init__(self, sharing: Sharing, inputs: int) -> None:
        super().__init__()
        self.sharing = sharing.build(Columns({"inputs": slice(0, inputs)}), TASKS)
        self.towers = nn.ModuleDict({
            task: Tower(self.sharing.outputs, [TOWER]) for task in TASKS
        })

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) → (B, T)."""
        views = self.sharing(Embedded(dict.fromkeys(TASKS, x), x)).views
        return torch.stack([self.towers[task](views[task]) for task in TASKS], dim=1)


def stack(sharing: Sharing, inputs: int, seeds: Sequence[int]) -> dict[str, Tensor]:
    """Fresh parameters of a network a seed, each as it would start alone."""
    states = []
    for seed in seeds:
        seed_everything(seed, "study model", sharing.kind)
        states.append(dict(Network(sharing, inputs).named_parameters()))
    return {
        name: torch.stack([state[name].detach() for state in states]).requires_grad_()
        for name in states[0]
    }


def forward(kind: str, weights: Weights, x: Tensor) -> Tensor:
    """(S, B, inputs) → (S, B, T): what `Network` gives, each seed with its own rows."""
    views = SHARINGS[kind](weights, x)
    return torch.cat([_tower(weights, task, views[task]) for task in TASKS], dim=2)


def _linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    bias, weight = weights[f"{name}bias"], weights[f"{name}weight"]
    return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))


def _tower(weights: Weights, task: str, view: Tensor) -> Tensor:
    hidden = _linear(weights, f"towers.{task}.hidden.0.", view).relu()
    return _linear(weights, f"towers.{task}.head.", hidden)


def _shared_bottom(weights: Weights, x: Tensor) -> dict[str, Tensor]:
    return dict.fromkeys(TASKS, _linear(weights, "sharing.bottom.0.", x).relu())


def _mixture(weights: Weights, x: Tensor, gate: str, experts: Tensor) -> Tensor:
    """Σ_k softmax_k(W x) · f_k(x), experts (S, B, K · H) → (S, B, H)."""
    weight = weights[f"sharing.gates.{gate}.weight"]
    shares = torch.bmm(x, weight.transpose(1, 2)).softmax(2)  # (S, B, K)
    return (shares.unsqueeze(3) * torch.unflatten(experts, 2, (weight.shape[1], -1))).sum(2)


def _omoe(weights: Weights, x: Tensor) -> dict[str, Tensor]:
    experts = _linear(weights, "sharing.experts.", x).relu()
    return dict.fromkeys(TASKS, _mixture(weights, x, ALL, experts))


def _mmoe(weights: Weights, x: Tensor) -> dict[str, Tensor]:
    experts = _linear(weights, "sharing.experts.", x).relu()
    return {task: _mixture(weights, x, task, experts) for task in TASKS}


SHARINGS: Mapping[str, Callable[[Weights, Tensor], dict[str, Tensor]]] = {
    "shared_bottom": _shared_bottom, "omoe": _omoe, "mmoe": _mmoe,
}
