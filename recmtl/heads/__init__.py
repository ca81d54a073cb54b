"""Every type of task, a head each: the one place where a type says what it is.

A type is named in `schema/tasks.py`, with what it takes in a file; its losses name it in
`schema/losses.py`. Everything else that depends on the type asks the task's head.
"""

from collections.abc import Mapping

from recmtl.heads.binary import Binary
from recmtl.heads.head import Domain, Head, Numbers, Start
from recmtl.heads.multiclass import Multiclass
from recmtl.heads.multilabel import Multilabel
from recmtl.heads.ordinal import Ordinal
from recmtl.heads.regression import Regression
from recmtl.heads.retrieval import Retrieval
from recmtl.heads.watch_time import WatchTime
from recmtl.schema import Task

HEADS: Mapping[str, type[Head]] = {
    "binary": Binary, "regression": Regression, "multiclass": Multiclass,
    "multilabel": Multilabel, "ordinal": Ordinal, "watch_time": WatchTime,
    "retrieval": Retrieval,
}


def head_of(task: Task) -> Head:
    """The head of a task, by its type."""
    return HEADS[task.type](task)


__all__ = ["HEADS", "Domain", "Head", "Numbers", "Start", "head_of"]
