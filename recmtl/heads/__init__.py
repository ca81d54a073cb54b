"""Every type of task, a head each: the one place where a type says what it is.

A type is named in `schema/tasks.py`, with what it takes in a file; its losses name it in
`schema/losses.py`. Everything else that depends on the type asks the task's head. A loss for which raw
outputs mean something else has a head of its own: labels, metrics and the score's unit stay the type's.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from recmtl.heads.binary import Binary
from recmtl.heads.head import Domain, Head, Numbers, Start
from recmtl.heads.multiclass import Multiclass
from recmtl.heads.multilabel import Multilabel
from recmtl.heads.ordinal import Ordinal
from recmtl.heads.regression import Regression
from recmtl.heads.retrieval import Retrieval
from recmtl.heads.watch_quantile import WatchQuantile
from recmtl.heads.watch_time import WatchTime
from recmtl.schema import Task
from recmtl.schema.losses import LossConfig

if TYPE_CHECKING:
    from recmtl.heads.duration_groups import DurationGroups

HEADS: Mapping[str, type[Head]] = {
    "binary": Binary, "regression": Regression, "multiclass": Multiclass,
    "multilabel": Multilabel, "ordinal": Ordinal, "watch_time": WatchTime,
    "retrieval": Retrieval,
}
OF_LOSSES: Mapping[str, type[Head]] = {"d2q": WatchQuantile}


def head_of(
    task: Task, loss: float | LossConfig | None = None, kept: "DurationGroups | None" = None
) -> Head:
    """The head of a task: by its type, or by the loss that a model learns it by."""
    options = loss if isinstance(loss, LossConfig) else None
    made = OF_LOSSES.get(options.kind if options else "", HEADS[task.type])
    return made(task, options, kept)


__all__ = ["HEADS", "OF_LOSSES", "Domain", "Head", "Numbers", "Start", "head_of"]
