"""Leakage: columns that alone say too much of a label to be known beforehand."""

from collections.abc import Iterator

from recmtl.data.contract.facts import Facts
from recmtl.data.contract.finding import Finding
from recmtl.data.contract.leakage import Strength

NAME = "leakage"


def check(facts: Facts) -> Iterator[Finding]:
    """One finding a column: that of the label it says most of."""
    strongest: dict[str, Strength] = {}
    for found in facts.strengths:
        if found.column not in strongest or _size(found) > _size(strongest[found.column]):
            strongest[found.column] = found
    for column, found in strongest.items():
        level = "error" if found.equal else facts.limits.leakage.level(found.auc or 0.0)
        if level is None:
            continue
        space = f" where {found.given} is 1" if found.given else ""
        said = "equal to the label" if found.equal else f"AUC {found.auc:.3f} by this column alone"
        yield Finding(
            level=level, check=NAME, column=column,
            expected=f"an AUC below {facts.limits.leakage.warning} for {found.label}{space}",
            found=f"{said}, for {found.label}{space}, on {found.rows:,} rows",
            fix="if it is known only afterwards, add it to data.outcomes and remove the feature",
        )


def _size(found: Strength) -> float:
    return 2.0 if found.equal else found.auc or 0.0
