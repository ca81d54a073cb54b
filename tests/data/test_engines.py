"""DuckDB and Spark give the same tables, row by row: examples, events, rates, vocabularies, scales."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recmtl.data.contract import check, read_report
from recmtl.data.encoder import Encoder
from recmtl.data.examples import Examples
from recmtl.data.ingest import ingest
from recmtl.data.rates.write import write_rates
from recmtl.errors import RecmtlError
from recmtl.schema import Problem
from tests.data import made_log, mixed_logs

QUIET = {
    "spark.ui.enabled": "false", "spark.log.level": "FATAL", "spark.ui.showConsoleProgress": "false",
    "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "1g", "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.sql.adaptive.enabled": "false", "spark.sql.shuffle.partitions": "2",
    "spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


@pytest.fixture(scope="module", autouse=True)
def spark() -> Iterator[None]:
    """An application of Spark for all tests of this file; one that runs already is used."""
    sql = pytest.importorskip("pyspark.sql", reason="needs pyspark: pip install 'recmtl[spark]'")
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        pytest.skip("needs Java: put it on the path, or set JAVA_HOME")
    before = os.environ.get("PYSPARK_SUBMIT_ARGS")
    options = " ".join(f"--conf {key}={value}" for key, value in QUIET.items())
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--master local[2] {options} pyspark-shell"
    yield
    if running := sql.SparkSession.getActiveSession():
        running.stop()
    if before is None:
        del os.environ["PYSPARK_SUBMIT_ARGS"]
    else:
        os.environ["PYSPARK_SUBMIT_ARGS"] = before


@dataclass(frozen=True)
class Made:
    """What an engine made of a problem."""

    examples: Examples
    encoder: Encoder

    @classmethod
    def by(cls, engine: str, problem: Problem, out: Path) -> "Made":
        data = problem.data.model_copy(update={"engine": engine})
        problem = problem.model_copy(update={"data": data})
        ingest(problem, out / "examples")
        examples = Examples.open(out / "examples")
        write_rates(problem, examples, out / "rates")
        with suppress(RecmtlError):  # what it finds is compared, not heeded
            check(problem, out / "examples", out / "contract")
        return cls(examples, Encoder.fit(problem, examples, width=4))

    def rows(self, folder: str = "dt=*") -> pl.DataFrame:
        return _read(sorted(self.examples.folder.glob(f"{folder}/*.parquet")))


@pytest.fixture(
    scope="module", params=[mixed_logs.events, mixed_logs.columns], ids=["events", "columns"]
)
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Made, Made]:
    """The same problem on DuckDB and on Spark."""
    make: Callable[[Path], Problem] = request.param
    root = tmp_path_factory.mktemp("a b+c%20")  # signs that a URL would write otherwise
    problem = make(root)
    return Made.by("duckdb", problem, root / "duck"), Made.by("spark", problem, root / "spark")


def test_examples_are_equal_row_by_row_and_in_order(both: tuple[Made, Made]) -> None:
    duck, spark = both
    assert len(duck.rows()) > 100
    assert spark.examples.columns == duck.examples.columns
    assert_frame_equal(spark.rows(), duck.rows(), rel_tol=1e-9, abs_tol=0)


def test_manifests_say_the_same(both: tuple[Made, Made]) -> None:
    duck, spark = (made.examples.manifest for made in both)
    said = ("settings", "shape", "columns", "days", "sources", "dropped", "events", "warnings")
    assert {key: spark[key] for key in said} == {key: duck[key] for key in said}


def test_vocabularies_and_scales_are_equal(both: tuple[Made, Made]) -> None:
    duck, spark = (made.encoder.fitted for made in both)
    assert spark.vocabularies.keys() == duck.vocabularies.keys()
    for name, vocabulary in duck.vocabularies.items():
        assert spark.vocabularies[name].table.equals(vocabulary.table), name  # type: ignore[union-attr]
    assert spark.scales.keys() == duck.scales.keys()
    for name, scale in duck.scales.items():
        other = spark.scales[name]
        assert other.known == scale.known and other.transform == scale.transform
        assert (other.mean, other.deviation) == pytest.approx((scale.mean, scale.deviation), rel=1e-9)
        assert other.knots == pytest.approx(scale.knots, rel=1e-9)
    assert spark.layout == duck.layout and spark.warnings == duck.warnings


def test_rates_are_equal(both: tuple[Made, Made]) -> None:
    duck, spark = (made.examples.folder.with_name("rates") for made in both)
    states = [file.relative_to(duck) for file in sorted(duck.glob("*/*.parquet"))]
    assert states == [file.relative_to(spark) for file in sorted(spark.glob("*/*.parquet"))]
    for state in states:
        assert_frame_equal(_read([spark / state]), _read([duck / state]))


def test_reports_on_the_contract_are_equal(both: tuple[Made, Made]) -> None:
    duck, spark = (read_report(made.examples.folder.with_name("contract")) for made in both)
    assert spark["findings"] == duck["findings"] and len(duck["days"]) > 2
    for name, day in duck["days"].items():
        assert spark["days"][name] | {"key": ""} == day | {"key": ""}


def test_another_engine_finds_the_examples_as_they_are(tmp_path: Path) -> None:
    made_log.write(tmp_path / "log.parquet", made_log.ROWS)
    first = ingest(made_log.problem(tmp_path), tmp_path / "out")
    state = (tmp_path / "out" / "manifest.json").stat().st_mtime_ns
    assert ingest(made_log.problem(tmp_path, data={"engine": "spark"}), tmp_path / "out") == first
    assert (tmp_path / "out" / "manifest.json").stat().st_mtime_ns == state


def test_bad_values_are_named_as_duckdb_names_them(tmp_path: Path) -> None:
    rows = made_log.ROWS | {"click": [1, 2, 1, 3], "user": [1.0, 2.5, 2.0**60, float("inf")]}
    made_log.write(tmp_path / "log.parquet", rows)
    said = []
    for engine in ("duckdb", "spark"):
        with pytest.raises(RecmtlError) as raised:
            ingest(made_log.problem(tmp_path, data={"engine": engine}), tmp_path / engine)
        said.append(str(raised.value))
    assert said[0] == said[1] and "click" in said[0]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    for name in ("log-1", "log-2"):
        many = {column: values * 500 for column, values in made_log.ROWS.items()}
        file = made_log.write(tmp_path / f"{name}.parquet", many)
    content = bytearray(file.read_bytes())
    content[4:40] = bytes(36)
    file.write_bytes(content)
    with pytest.raises(RecmtlError, match=r"log-2\.parquet"):
        ingest(made_log.problem(tmp_path, data={"engine": "spark"}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _read(files: list[Path]) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file, hive_partitioning=False) for file in files])
