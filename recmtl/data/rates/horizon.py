"""How long after an impression a label of it is known for certain."""

from datetime import timedelta

from recmtl.data.labels import parse
from recmtl.schema import Problem
from recmtl.schema import events as sources


def horizon(problem: Problem, label: str) -> timedelta:
    """The longest wait for an event that the label reads; none where the log itself has the outcome."""
    events = problem.data.events
    read = {column.casefold() for column in parse(f"[labels] {label}", problem.labels[label]).columns}
    waits = [
        sources.horizon(name, events) for name, event in events.items()
        if read & {column.casefold() for column in event.columns(name)}
    ]
    return timedelta(seconds=max(waits, default=0))
