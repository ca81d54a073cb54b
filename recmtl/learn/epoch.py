"""What one pass over train gave: the message from the loop to whoever listens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recmtl.learn.gates import GateSummary


@dataclass(frozen=True)
class Epoch:
    """One pass over train; `best` says whether its weights are the best so far."""

    number: int  # from 1
    metrics: Mapping[str, float]  # auc_valid/ctr, loss_train/ctr, …
    gates: Mapping[str, GateSummary]
    timings: Mapping[str, float]  # seconds, and rows a second
    best: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number, "best": self.best,
            "metrics": dict(self.metrics), "timings": dict(self.timings),
            "gates": {task: summary.to_json() for task, summary in self.gates.items()},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Epoch":
        """The inverse of `to_json`."""
        gates = {task: GateSummary.from_json(summary) for task, summary in content["gates"].items()}
        return cls(**{**content, "gates": gates})
