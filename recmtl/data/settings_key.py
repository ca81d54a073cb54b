"""What of a configuration examples are made from: a digest that changes when they would be others."""

from typing import Any

from pydantic import BaseModel

from recmtl.folder import digest
from recmtl.schema import HashSplit, Problem

FORMAT = 4  # raised when the same configuration and files would give other examples
_NOT_THEIRS = {"split", "half_life", "engine", "memory_limit", "spill", "as_of"}  # no part of examples


def settings_key(problem: Problem) -> str:
    """What the examples depend on in the configuration, whatever the files hold; paths are unexpanded."""

    def plain(value: BaseModel) -> Any:
        return value.model_dump(mode="json")

    data = problem.data
    return digest({
        "format": FORMAT,
        "data": data.model_dump(mode="json", exclude=_NOT_THEIRS),
        "hash": data.split.hash if isinstance(data.split, HashSplit) else (),
        "labels": problem.labels,
        "features": {n: plain(f) for n, f in problem.features.items()},
        "tasks": {n: plain(t) for n, t in problem.tasks.items()},
    })
