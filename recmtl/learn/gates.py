"""Gates of many batches in, a summary per task out, in memory that does not grow with the rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recmtl.batch import Gate
from recmtl.errors import RecmtlError

if TYPE_CHECKING:
    from torch import Tensor

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 1000  # of the histogram that the quantiles are read from: they are right to 1/BINS

DEAD_MEAN = 0.01  # an expert whose mean gate is below this for every task is dead …
DEAD_SHARE = 0.1  # … where an even share is less than ten times that: below this part of the share
COLLAPSED_ENTROPY = 0.05  # a gate with less entropy than this part of ln K has collapsed
COLLAPSED_MEAN = 0.99  # as has one that gives a single expert more than this on average


@dataclass(frozen=True)
class Entropy:
    """Mean over rows of −Σ g ln g, in nats and as a part of ln K (1 for a single expert)."""

    nats: float
    normalised: float


@dataclass(frozen=True)
class GateSummary:
    """What one task's gate does over `rows` rows with its K experts."""

    names: tuple[str, ...]  # of the K
    rows: int
    mean: np.ndarray  # (K,)
    std: np.ndarray  # (K,)
    quantiles: Mapping[float, np.ndarray]  # level → (K,)
    entropy: Entropy

    @property
    def experts(self) -> int:
        return len(self.mean)

    def to_json(self) -> dict[str, object]:
        return {
            "experts": self.experts,
            "names": list(self.names),
            "rows": self.rows,
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "quantiles": {f"{q:g}": values.tolist() for q, values in self.quantiles.items()},
            "entropy": self.entropy.nats,
            "entropy_normalised": self.entropy.normalised,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "GateSummary":
        """The inverse of `to_json`."""
        return cls(
            names=tuple(content["names"]), rows=content["rows"],
            mean=np.array(content["mean"]), std=np.array(content["std"]),
            quantiles={float(q): np.array(values) for q, values in content["quantiles"].items()},
            entropy=Entropy(content["entropy"], content["entropy_normalised"]),
        )


class GateAccumulator:
    """Sums and histograms of each task's gate, filled batch by batch."""

    def __init__(self) -> None:
        self._gates: dict[str, _Gate] = {}

    def update(self, gates: Mapping[str, Gate]) -> None:
        """Add a batch of each task's gate. Raises RecmtlError on NaN."""
        for task, gate in gates.items():
            values = gate.weights.detach().double().cpu().numpy()
            if not np.isfinite(values).all():
                raise RecmtlError("a gate is not a finite number", where=f"task {task!r}",
                                  fix="lower learning_rate")
            self._gates.setdefault(task, _Gate(gate.experts)).add(values)

    def add_up(self, total: Callable[["Tensor"], "Tensor"]) -> None:
        """Every sum becomes what `total` makes of it: that over all processes, which do this together."""
        for gate in self._gates.values():
            gate.add_up(total)

    def summary(self) -> dict[str, GateSummary]:
        """Task → summary of every row so far; tasks without rows are absent."""
        return {task: gate.summary() for task, gate in self._gates.items() if gate.rows}


class _Gate:
    def __init__(self, names: tuple[str, ...]) -> None:
        self.names, experts = names, len(names)
        self.rows = 0
        self._sum = np.zeros(experts)
        self._squares = np.zeros(experts)
        self._entropy = 0.0
        self._histogram = np.zeros((experts, BINS), dtype=np.int64)

    def add(self, values: np.ndarray) -> None:  # (B, K) float64
        experts = values.shape[1]
        self.rows += len(values)
        self._sum += values.sum(axis=0)
        self._squares += (values**2).sum(axis=0)
        logs = np.log(values, where=values > 0, out=np.zeros_like(values))
        self._entropy -= float((values * logs).sum())
        bins = np.clip((values * BINS).astype(np.int64), 0, BINS - 1)
        flat = (bins + np.arange(experts) * BINS).ravel()
        self._histogram += np.bincount(flat, minlength=experts * BINS).reshape(experts, BINS)

    def add_up(self, total: Callable[["Tensor"], "Tensor"]) -> None:
        import torch

        for name in ("_sum", "_squares", "_histogram"):
            setattr(self, name, total(torch.from_numpy(getattr(self, name))).numpy())
        counts = torch.tensor([self.rows, self._entropy], dtype=torch.float64)
        self.rows, self._entropy = int(total(counts)[0]), float(counts[1])

    def summary(self) -> GateSummary:
        mean = self._sum / self.rows
        variance = np.maximum(self._squares / self.rows - mean**2, 0.0)
        nats = self._entropy / self.rows
        full = np.log(len(mean))
        return GateSummary(
            names=self.names, rows=self.rows, mean=mean, std=np.sqrt(variance),
            quantiles={q: self._quantile(q) for q in QUANTILES},
            entropy=Entropy(nats=nats, normalised=nats / full if full else 1.0),
        )

    def _quantile(self, level: float) -> np.ndarray:  # (K,)
        """Linear within the bin in which the level falls."""
        filled = np.cumsum(self._histogram, axis=1)
        target = level * self.rows
        bins = (filled < target).sum(axis=1)
        each = np.arange(len(bins))
        inside = self._histogram[each, bins]
        before = filled[each, bins] - inside
        result: np.ndarray = (bins + (target - before) / np.maximum(inside, 1)) / BINS
        return result


def gate_warnings(summaries: Mapping[str, GateSummary]) -> list[str]:
    """Sentences on one model's gates: experts that no task uses, gates that have collapsed."""
    warnings = []
    for expert in dict.fromkeys(name for s in summaries.values() for name in s.names):
        gates = [(s.mean[s.names.index(expert)], s) for s in summaries.values() if expert in s.names]
        if all(mean < min(DEAD_MEAN, DEAD_SHARE / s.experts) for mean, s in gates):
            most = max(mean for mean, _ in gates)
            warnings.append(f"expert {expert} is dead: mean gate at most {most:.2%} in every task")
    for task, summary in summaries.items():
        if summary.experts == 1:
            continue
        first, share = summary.names[int(summary.mean.argmax())], float(summary.mean.max())
        if summary.entropy.normalised < COLLAPSED_ENTROPY or share > COLLAPSED_MEAN:
            warnings.append(
                f"the gate of {task} has collapsed: expert {first} gets {share:.1%} on average, "
                f"entropy is {summary.entropy.normalised:.1%} of ln K"
            )
    return warnings
