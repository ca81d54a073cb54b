"""The checks: each takes what was measured and yields findings."""

from collections.abc import Callable, Iterator

from recmtl.data.contract.checks import (
    drift,
    events,
    funnel,
    future,
    labels,
    leakage,
    nullability,
    rates,
    repeats,
    types,
    values,
    volume,
)
from recmtl.data.contract.facts import Facts
from recmtl.data.contract.finding import Finding

CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    types.check, volume.check, nullability.check, rates.check, values.check, labels.check, repeats.check,
    events.check, future.check, funnel.check, drift.check, leakage.check,
)
