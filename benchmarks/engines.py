"""A configuration's ingest, rates and encoder on DuckDB and on Spark: times, and whether all is equal.

    python benchmarks/engines.py configs/kuairand_rates.toml OUT

Spark is configured by its own environment, e.g. PYSPARK_SUBMIT_ARGS="--master local[2] pyspark-shell".
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

from recmtl.data.encoder import Encoder
from recmtl.data.examples import Examples
from recmtl.data.ingest import ingest
from recmtl.data.rates.write import write_rates
from recmtl.experiment import Experiment

ENGINES = ("duckdb", "spark")
CLOSE = 1e-9  # relative, of floats


def run(experiment: Experiment, engine: str, out: Path) -> tuple[Path, Encoder]:
    data = experiment.data.model_copy(update={"engine": engine})
    problem = experiment.model_copy(update={"data": data})
    timed(f"{engine}: ingest", lambda: ingest(problem, out / "examples"))
    examples = Examples.open(out / "examples")
    timed(f"{engine}: rates", lambda: write_rates(problem, examples, out / "rates"))
    width = experiment.embedding.width
    return out, timed(f"{engine}: encoder", lambda: Encoder.fit(problem, examples, width))


def timed(what: str, work: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    result = work()
    print(f"{what} {time.perf_counter() - start:.1f} s", flush=True)
    return result


def compare_folders(duck: Path, spark: Path) -> int:
    """The rows of all folders of Parquet files, equal in order; a table may be of several parts."""
    rows, folders = 0, sorted({file.parent for file in duck.rglob("*.parquet")})
    for folder in folders:
        here, there = (read(f) for f in (folder, spark / folder.relative_to(duck)))
        assert here.keys() == there.keys(), folder
        for name, table in here.items():
            assert_frame_equal(table, there[name], rel_tol=CLOSE, abs_tol=0)
            rows += len(table)
    return rows


def read(folder: Path) -> dict[str, pl.DataFrame]:
    """Tables by name; the parts of the examples are one."""
    found: dict[str, list[pl.DataFrame]] = {}
    for file in sorted(folder.glob("*.parquet")):
        name = "part" if file.name.startswith("part-") else file.name
        found.setdefault(name, []).append(pl.read_parquet(file, hive_partitioning=False))
    return {name: pl.concat(parts) for name, parts in found.items()}


def compare_encoders(duck: Encoder, spark: Encoder) -> None:
    for name, vocabulary in duck.fitted.vocabularies.items():
        if table := getattr(vocabulary, "table", None):
            assert spark.fitted.vocabularies[name].table.equals(table), name  # type: ignore[union-attr]
    for name, scale in duck.fitted.scales.items():
        other = spark.fitted.scales[name]
        assert (scale.known, len(scale.knots)) == (other.known, len(other.knots)), name
        pairs = zip((scale.mean, scale.deviation, *scale.knots),
                    (other.mean, other.deviation, *other.knots), strict=True)
        assert all(abs(a - b) <= CLOSE * abs(a) for a, b in pairs), name


def main(config: str, out: str) -> None:
    experiment = Experiment.read(config)
    (duck, on_duck), (spark, on_spark) = (run(experiment, e, Path(out) / e) for e in ENGINES)
    for folder in ("examples", "rates"):
        rows = compare_folders(duck / folder, spark / folder)
        print(f"{folder}: {rows:,} rows equal")
    compare_encoders(on_duck, on_spark)
    fitted = on_duck.fitted
    print(f"encoder: {len(fitted.vocabularies)} vocabularies and {len(fitted.scales)} scales equal")


if __name__ == "__main__":
    main(*sys.argv[1:])
