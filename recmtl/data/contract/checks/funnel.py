"""Funnels: labels and outcomes that are 1 where an earlier step is 0."""

from collections.abc import Iterator, Mapping

from recmtl.data.contract.facts import Facts, on_days, percent, worst
from recmtl.data.contract.finding import Finding
from recmtl.data.contract.funnels import Breaks, Pair, label_pairs

NAME = "funnel"


def check(facts: Facts) -> Iterator[Finding]:
    declared = label_pairs(facts.problem)
    of_labels = {day.name: day.breaks for day in facts.days}
    for pair, product in declared.items():
        yield from _breaks(facts, of_labels, pair, product)
    outcomes = {day.name: day.outcomes for day in facts.days}
    for pair in sorted({pair for day in facts.days for pair in day.outcomes}):
        bare = pair in declared and facts.problem.labels[pair[1]].strip() == pair[1]
        if not bare:  # else the outcome is the label
            yield from _breaks(facts, outcomes, pair, False)


def _breaks(facts: Facts, days: Mapping[str, Breaks], pair: Pair, product: bool) -> Iterator[Finding]:
    """Over all days; the worst day is that with the largest share."""
    positives = sum(day.get(pair, (0, 0))[0] for day in days.values())
    breaks = sum(day.get(pair, (0, 0))[1] for day in days.values())
    level = facts.limits.funnel.level(breaks / positives) if positives else None
    if breaks and product:
        level = "error"
    if level is None:
        return
    shares = {name: day[pair][1] / day[pair][0] for name, day in days.items() if day.get(pair, (0, 0))[1]}
    earlier, later = pair
    yield Finding(
        level=level, check=NAME, column=later, day=worst(shares)[0],
        expected=f"{earlier} = 1 wherever {later} is 1",
        found=f"{breaks:,} of {positives:,} ({percent(breaks / positives)}) have {earlier} = 0"
              f"{on_days(shares)}",
        fix=f"write the label as `{earlier} and …`, or declare no product over it" if product
        else f"nothing, if it needs no {earlier}",
    )
