"""A tiny log on disk, ingested for real: what vocabularies, encoders and shards are tested on."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recmtl.data import native
from recmtl.data.examples import Examples
from recmtl.data.ingest import ingest
from recmtl.data.rates.write import write_rates
from recmtl.schema import Problem

Ingested = tuple[Problem, Examples]


def make(folder: Path, table: pa.Table, features: dict[str, Any], **sections: Any) -> Ingested:
    """Write and ingest a table with `day` and `click`, under a new name in `folder`."""
    number = len(list(folder.glob("log-*.parquet")))
    file = folder / f"log-{number}.parquet"
    pq.write_table(table, file)
    own = sections.pop("data", {})
    data = {"split": {"valid": "2024-01-03", "test": "2024-01-04"}} | own
    data["impressions"] = {"path": str(file), "day": "day"} | own.get("impressions", {})
    problem = Problem.model_validate({
        "name": "tiny", "data": data, "features": features,
        "labels": {"click": "click"}, "tasks": {"ctr": {"label": "click"}}, **sections,
    })
    out = folder / f"out-{number}"
    ingest(problem, out / "examples")
    examples = Examples.open(out / "examples")
    write_rates(problem, examples, out / "rates")
    return problem, examples


@pytest.fixture
def ingested(tmp_path: Path) -> Callable[..., Ingested]:
    """`ingested(table, features, **sections)`: the problem and the examples of a table.

    Train is before 2024-01-03, valid that day, test the next.
    """
    return partial(make, tmp_path)


@pytest.fixture(scope="module")
def ingested_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ingested]:
    """The same for fixtures that live as long as their module."""
    return partial(make, tmp_path_factory.mktemp("logs"))


@pytest.fixture
def compiler() -> None:
    """What tests of the loops in C++ need."""
    if not native.compiled():
        pytest.skip("needs a C++ compiler with OpenMP")
