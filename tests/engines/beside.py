"""A step that writes tables goes in; the same on Spark comes out, each run compared with DuckDB's."""

import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any

from recmtl.data.encoding.fitted import Fitted, save
from recmtl.progress import SILENT
from tests.engines.same import assert_same, estimates_aside
from tests.engines.twins import Twins

Step = Callable[..., Any]
counted: Counter[str] = Counter()


def beside(step: Step, twins: Twins) -> Step:
    """`step` on Spark, for its caller; and on DuckDB, from what DuckDB made, which must be the same."""
    form = signature(step)

    @wraps(step)
    def both(*args: Any, **kwargs: Any) -> Any:
        given = form.bind(*args, **kwargs).arguments
        if given.get("progress", SILENT) is not SILENT:  # who listens to a run may act on it, but once
            return step(**_on("spark", given))
        instead = twins.stand_in(given)
        found, failed = _attempt(step, _on("spark", given))
        with _unheard():
            expected, other = _attempt(step, _on("duckdb", given | instead))
        if "out" in given:
            twins.written(given["out"])
        said, elsewhere = _text(failed), twins.named(_text(other))
        assert said == elsewhere, f"Spark: {said}\nDuckDB: {elsewhere}"
        counted[step.__name__] += 1
        if failed:
            counted["errors"] += 1
            raise failed
        counted.update(
            _fits(found, expected) if isinstance(found, Fitted)
            else assert_same(given["out"], instead["out"])
        )
        return found

    return both


def _fits(found: Fitted, expected: Fitted) -> Counter[str]:
    with tempfile.TemporaryDirectory() as root:
        folders = [Path(root) / name for name in ("found", "expected")]
        for fitted, folder in zip((found, expected), folders, strict=True):
            folder.mkdir()
            save(fitted, folder)
        return assert_same(*folders)


def _on(engine: str, given: Mapping[str, Any]) -> dict[str, Any]:
    problem = given["problem"]
    data = problem.data.model_copy(update={"engine": engine})
    return {**given, "problem": problem.model_copy(update={"data": data})}


def _attempt(step: Step, given: Mapping[str, Any]) -> tuple[Any, Exception | None]:
    try:
        return step(**given), None
    except Exception as error:
        return None, error


def _text(error: Exception | None) -> str:
    return estimates_aside(f"{type(error).__name__}: {error}") if error else ""


@contextmanager
def _unheard() -> Iterator[None]:
    """Tests that read the log of a run hear of one run."""
    log = logging.getLogger("recmtl")
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = False
