"""What a sweep hands to its report: scores and comparison of each part, and how each run went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recmtl.evaluate.comparison import Comparison, Rows, RunScores, champion
from recmtl.learn.gates import GateSummary, gate_warnings
from recmtl.learn.metrics import Part
from recmtl.schema import Task
from recmtl.schema.metrics import MetricConfig


@dataclass(frozen=True)
class PartScores:
    """A part's rows, every run's scores on them, and what `compare` made of both."""

    rows: Rows
    runs: Sequence[RunScores]
    comparison: Comparison


@dataclass(frozen=True)
class RunHistory:
    """How one run went: its metrics after each epoch, part → task → gate, and its model."""

    model: str
    seed: int
    epochs: Sequence[Mapping[str, float]] = ()
    gates: Mapping[Part, Mapping[str, GateSummary]] = field(default_factory=dict)
    drawing: str | None = None  # an SVG of the model


@dataclass(frozen=True)
class Sweep:
    """All runs of one experiment on the same rows. `monitor` is the metric that picks a winner."""

    name: str
    tasks: Mapping[str, Task]
    monitor: str
    parts: Mapping[Part, PartScores]
    histories: Sequence[RunHistory] = ()
    metrics: Sequence[MetricConfig] = ()  # of plug-ins

    @property
    def champion(self) -> tuple[str, int] | None:
        """Model and seed that win on valid; None without a valid part."""
        valid = self.parts.get("valid")
        return champion(valid.comparison, self.monitor, self.metrics) if valid else None

    @property
    def reported(self) -> Part:
        """The part that calibration and gates are shown on: test, where there is one."""
        return "test" if "test" in self.parts else "valid"

    @property
    def models(self) -> list[str]:
        """In the order of the runs."""
        return list(dict.fromkeys(run.model for part in self.parts.values() for run in part.runs))

    @property
    def first_runs(self) -> list[RunScores]:
        """A run a model, its first seed's, on the reported part."""
        runs = self.parts[self.reported].runs
        return list({run.model: run for run in reversed(runs)}.values())[::-1]

    @property
    def warnings(self) -> list[str]:
        """Sentences on gates and on metrics that the rows do not define."""
        found = [
            f"{h.model}, seed {h.seed}: {line}"
            for h in self.histories for line in gate_warnings(h.gates.get(self.reported, {}))
        ]
        for part, scores in self.parts.items():
            lines = {line["task"]: line for line in scores.comparison.models}
            found += [
                f"{task} has no verdict on {part}: its {line['rows']:,.0f} rows lack a class"
                for task, line in lines.items() if line["verdict"] is None
            ]
        return found
