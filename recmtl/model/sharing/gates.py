"""Gates: how much of a task's view comes from each expert, row by row."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recmtl.batch import Gate
from recmtl.model.boxes import distinct, parameters
from recmtl.model.sharing.options import Gated
from recmtl.page import Block


class SoftGates(nn.ModuleDict):
    """gate_t(x) = softmax(W_t x / temperature) over the experts within reach of t, 0 elsewhere.

    In training each row's gate passes over a share `gate_dropout` of its experts, and what is left sums
    to 1 (Zhao et al., Recommending What Video to Watch Next, RecSys 2019); where none is left, all stay.
    """

    places: Tensor

    def __init__(
        self, inputs: int, experts: Sequence[str], reach: Mapping[str, Sequence[int]], options: Gated
    ) -> None:
        super().__init__({task: nn.Linear(inputs, len(r), bias=False) for task, r in reach.items()})
        self.names, self.reach, self.options = tuple(experts), dict(reach), options
        places = [i * len(experts) + k for i, r in enumerate(reach.values()) for k in r]
        self.register_buffer("places", torch.tensor(places), persistent=False)

    def forward(self, views: Mapping[str, Tensor]) -> Tensor:
        """What each gate reads, task → (B, W), → all gates (B, T, K) in fp32 or more."""
        groups = by_view(views, self)
        # impressions lie side by side, as products and softmax of few columns take many times longer
        found = torch.cat([self._logits(views[same[0]], same) for same in groups])
        logits = self._laid_out(found.to(torch.promote_types(found.dtype, torch.float32)), groups)
        if self.training and self.options.gate_dropout:
            kept = torch.rand_like(logits) >= self.options.gate_dropout
            some = (kept & logits.isfinite()).any(1, keepdim=True)
            logits = logits.masked_fill(~kept & some, -torch.inf)
        return (logits / self.options.temperature).softmax(1).permute(2, 0, 1).contiguous()

    def named(self, gates: Tensor) -> dict[str, Gate]:
        """Each task's gate over the experts within its reach, from all (B, T, K)."""
        # Places of Python's would be sent to a GPU at each step, which a recorded one cannot.
        within = self.places % len(self.names)
        places = torch.split(within, [len(reach) for reach in self.reach.values()])
        return {
            task: Gate(all_of.index_select(1, own), tuple(self.names[k] for k in reach))
            for (task, reach), all_of, own in zip(
                self.reach.items(), gates.unbind(1), places, strict=True
            )
        }

    def penalties(self, gates: Tensor) -> dict[str, Tensor]:
        """balance · Σ_t CV²(mean gate of each expert within reach of t), in training.

        Reference: Shazeer et al., Outrageously Large Neural Networks, ICLR 2017, equation 7.
        """
        if not (self.training and self.options.balance):
            return {}
        if not len(gates):  # a process's part of an epoch's last batch may have no rows
            return {"balance": gates.sum()}
        shares = gates.mean(0)  # (T, K): they sum to 1 over the K_t within reach, so CV² = K_t Σ s² − 1
        squares = zip(self.reach.values(), shares.square().sum(1), strict=True)
        uneven = torch.stack([len(reach) * square - 1.0 for reach, square in squares])
        return {"balance": self.options.balance * uneven.sum()}

    def drawn(self, read: Mapping[str, Sequence[Block]], experts: Sequence[Block]) -> dict[str, Block]:
        """The box of each gate with the mixture that it makes, from what it reads and each expert's."""
        found = {}
        for task, reach in self.reach.items():
            among = f" of {len(experts)}" if len(reach) < len(experts) else ""
            lines = (f"softmax over {len(reach)}{among}", parameters(self[task].parameters()))
            mixed = distinct(experts[k] for k in reach)
            found[task] = Block(f"gate of {task}", lines, mixed, distinct(read[task]), "gate",
                                columns=experts[0].columns)
        return found

    def _logits(self, x: Tensor, same: Iterable[str]) -> Tensor:
        """Those of gates that read one view, as one product: (their experts, B)."""
        return F.linear(torch.cat([self[task].get_parameter("weight") for task in same]), x)

    def _laid_out(self, found: Tensor, groups: Sequence[Sequence[str]]) -> Tensor:
        """(all experts within reach, B) → (T, K, B), −∞ out of reach."""
        order = [task for same in groups for task in same]
        if order != list(self.reach):
            sizes = [len(self.reach[task]) for task in order]
            parts = dict(zip(order, torch.split(found, sizes), strict=True))
            found = torch.cat([parts[task] for task in self.reach])
        if len(self.places) < len(self.reach) * len(self.names):
            every = found.new_full((len(self.reach) * len(self.names), found.shape[1]), -torch.inf)
            found = every.index_copy(0, self.places, found)
        return found.view(len(self.reach), len(self.names), found.shape[1])


def at_level(gates: Mapping[str, Gate], number: int) -> dict[str, Gate]:
    """Gates below the last level, under names that tell them and their experts from those above."""
    return {
        f"{name} level {number}": Gate(g.weights, tuple(f"{e} level {number}" for e in g.experts))
        for name, g in gates.items()
    }


def by_view(views: Mapping[str, Any], tasks: Iterable[str]) -> list[list[str]]:
    """The tasks in groups that look at one tensor: all in one group where tables are shared."""
    groups: dict[int, list[str]] = {}
    for task in tasks:
        groups.setdefault(id(views[task]), []).append(task)
    return list(groups.values())
