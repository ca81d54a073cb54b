"""Gate summaries in, a heat map and a table out: which task leans on which expert."""

from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from recmtl.learn.gates import GateSummary
from recmtl.page import heat_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABEL = 18  # letters that fit under a cell


def gate_table(summaries: Mapping[str, GateSummary]) -> list[dict[str, Any]]:
    """A line a task and expert: task, expert, mean, std, q05, q25, q50, q75, q95."""
    return [
        {
            "task": task, "expert": name,
            "mean": float(summary.mean[k]), "std": float(summary.std[k]),
            **{f"q{100 * q:02.0f}": float(v[k]) for q, v in summary.quantiles.items()},
        }
        for task, summary in summaries.items() for k, name in enumerate(summary.names)
    ]


def gate_heat_map(summaries: Mapping[str, GateSummary], title: str) -> "Figure":
    """Tasks by experts, mean ± standard deviation over rows in each cell.

    Experts that a task's gate does not reach leave cells empty. As figure 8 of PLE.

    References: Tang et al., Progressive Layered Extraction, RecSys 2020.
    """
    experts = list(dict.fromkeys(name for s in summaries.values() for name in s.names))

    def spread_out(summary: GateSummary, values: np.ndarray) -> np.ndarray:
        found = dict(zip(summary.names, values, strict=True))
        return np.array([found.get(name, np.nan) for name in experts])

    return heat_map(
        np.stack([spread_out(s, s.mean) for s in summaries.values()]),
        [f"{task}\nentropy {s.entropy.normalised:.2f}" for task, s in summaries.items()],
        [fill(f"expert {name}", LABEL) for name in experts], title,
        spread=np.stack([spread_out(s, s.std) for s in summaries.values()]),
    )
