"""Which labels are steps of a funnel: a problem goes in, pairs of an earlier and a later one come out."""

from itertools import pairwise
from typing import Any

from recmtl.schema import Problem

Pair = tuple[str, str]  # the earlier step, the later one
Breaks = dict[Pair, tuple[int, int]]  # rows where the later one is 1, those without the earlier


def label_pairs(problem: Problem) -> dict[Pair, bool]:
    """Each pair, and whether a product is declared over it, which then no row may break."""
    given = [task for task in problem.tasks.values() if task.given]
    pairs = {(str(task.given), label): False for task in given for label in task.labels}
    for task in problem.tasks.values():
        labels = [problem.tasks[factor].labels[0] for factor in task.product]
        pairs |= dict.fromkeys(pairwise(labels), True)
    return pairs


def breaks_to_json(breaks: Breaks) -> list[dict[str, Any]]:
    return [
        {"earlier": earlier, "later": later, "positives": positives, "without": without}
        for (earlier, later), (positives, without) in sorted(breaks.items())
    ]


def breaks_from_json(read: list[dict[str, Any]]) -> Breaks:
    return {(b["earlier"], b["later"]): (b["positives"], b["without"]) for b in read}
