"""What the studies share: intervals over seeds, tables in Markdown, and where results and figures go."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.measure import HERE, RESULTS, machine
from recmtl.evaluate.significance import LEVEL, Bootstrap, Estimate
from recmtl.seed import numpy_generator

IMAGES = HERE.parent / "docs" / "images"


def bootstrap(values: Mapping[str, np.ndarray], replicates: int = 10_000) -> Bootstrap:
    """The mean over seeds of each model's values (S,), and of draws of the seeds: paired by seed."""
    count = len(next(iter(values.values())))
    draws = numpy_generator(0, "seeds").integers(0, count, (replicates, count))
    return Bootstrap(
        {name: float(found.mean()) for name, found in values.items()},
        {name: found[draws].mean(axis=1) for name, found in values.items()},
    )


def student(values: np.ndarray) -> Estimate:
    """Mean of a few seeds (S,), with Student's interval: a bootstrap of so few is too narrow."""
    mean, se = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    reach = se * float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1))
    return Estimate(mean, se, mean - reach, mean + reach)


def told(found: Estimate, digits: int = 4, signed: bool = False) -> str:
    """A value with its interval."""
    sign = "+" if signed else ""
    value, low, high = (f"{v:{sign}.{digits}f}" for v in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    body = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *body])


def keep(name: str, found: Mapping[str, Any]) -> None:
    """Write what a study found, with the machine and the day, beside the benchmarks' results."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": machine(), **found}, indent=1))
