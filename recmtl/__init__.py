"""recmtl: multi-objective recommenders from click and conversion logs.

In a notebook: `scorer, report = recmtl.fit(frame, "problem.toml", "out")`, `recmtl.per_task(report)`
and `recmtl.score(scorer, frame)`, or the steps one by one. Names are loaded when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recmtl.errors import RecmtlError
    from recmtl.experiment import Experiment
    from recmtl.library import fit, load, per_task, score
    from recmtl.pipeline import Options, encode, ingest, promote, train
    from recmtl.pipeline import evaluate as compare

__version__ = "0.1.0"
__all__ = [
    "Experiment", "Options", "RecmtlError",
    "ingest", "encode", "train", "compare", "promote",
    "fit", "load", "score", "per_task",
]

_HOMES = {
    "Experiment": "experiment.Experiment", "RecmtlError": "errors.RecmtlError",
    **{name: f"pipeline.{name}" for name in ("Options", "ingest", "encode", "train", "promote")},
    "compare": "pipeline.evaluate",  # recmtl.evaluate is the package that it uses
    **{name: f"library.{name}" for name in ("fit", "load", "score", "per_task")},
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(".")
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
