"""Gate summaries in, a heat map and a table out: which task leans on which expert."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recmtl.learn.gates import GateSummary
from recmtl.page import heat_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def gate_table(summaries: Mapping[str, GateSummary]) -> list[dict[str, Any]]:
    """A line a task and expert: task, expert, mean, std, q05, q25, q50, q75, q95."""
    return [
        {
            "task": task, "expert": expert,
            "mean": float(summary.mean[expert]), "std": float(summary.std[expert]),
            **{f"q{100 * q:02.0f}": float(v[expert]) for q, v in summary.quantiles.items()},
        }
        for task, summary in summaries.items() for expert in range(summary.experts)
    ]


def gate_heat_map(summaries: Mapping[str, GateSummary], title: str) -> "Figure":
    """Tasks by experts, mean ± standard deviation over rows in each cell.

    A task with fewer experts than another leaves cells empty. As figure 8 of PLE.

    References: Tang et al., Progressive Layered Extraction, RecSys 2020.
    """
    experts = max(summary.experts for summary in summaries.values())

    def padded(values: np.ndarray) -> np.ndarray:
        return np.pad(values, (0, experts - len(values)), constant_values=np.nan)

    return heat_map(
        np.stack([padded(s.mean) for s in summaries.values()]),
        [f"{task}\nentropy {s.entropy.normalised:.2f}" for task, s in summaries.items()],
        [f"expert {k}" for k in range(experts)], title,
        spread=np.stack([padded(s.std) for s in summaries.values()]),
    )
