"""Leakage: columns that alone say too much of a label to be known beforehand."""

from collections.abc import Iterator

from recmtl.data.contract.facts import Facts
from recmtl.data.contract.finding import Finding
from recmtl.data.contract.leakage import FEWEST, Space, Strength
from recmtl.schema.contract import Level

NAME = "leakage"


def check(facts: Facts) -> Iterator[Finding]:
    """One finding a column: that of the label it says most of; and one a label that cannot be judged."""
    yield from (_not_judged(space) for space in facts.spaces if _least(space) < 2 * FEWEST)
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
            expected=f"an AUC below {_limit(facts, level)} for {found.label}{space}",
            found=f"{said}, for {found.label}{space}, on {found.rows:,} rows",
            fix="if it is known only afterwards, add it to data.outcomes and remove the feature",
        )


def _limit(facts: Facts, level: Level) -> float:
    """What the finding's level is reached at; a column that is the label has an AUC of 1."""
    limit: float | None = getattr(facts.limits.leakage, level)
    return 1.0 if limit is None else limit


def _least(space: Space) -> float:
    """Rows of the smaller class; a label that is a number has none."""
    if space.positives is None or space.negatives is None:
        return float("inf")
    return min(space.positives, space.negatives)


def _not_judged(space: Space) -> Finding:
    """Numbers need FEWEST rows of either class; ids twice that, as one half tells their rates."""
    assert space.positives is not None and space.negatives is not None
    few = "positives" if space.positives <= space.negatives else "negatives"
    what = "not checked" if _least(space) < FEWEST else "ids and lists are not checked"
    where = f" where {space.given} is 1" if space.given else ""
    return Finding(
        level="note", check=NAME, column=space.label,
        expected=f"{2 * FEWEST} rows of either class{where}",
        found=f"{what}: {int(_least(space)):,} {few}{where}", fix="nothing, or ingest more days",
    )


def _size(found: Strength) -> float:
    return 2.0 if found.equal else found.auc or 0.0
